DROP TABLE alarm_notices;
DROP TABLE alarms;
