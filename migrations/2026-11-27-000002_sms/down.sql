DROP TABLE sms_requests;
