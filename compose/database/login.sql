-- The password is taken from psql's environment and stands in no file and on no command line.
\getenv password GRAFANA_DATABASE_PASSWORD
ALTER ROLE faultline_reader LOGIN PASSWORD :'password';
