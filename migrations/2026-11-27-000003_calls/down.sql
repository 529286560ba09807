DROP TABLE call_permissions;
DROP TABLE call_cards;
DROP TABLE calls;
DROP TABLE phone_calling;
