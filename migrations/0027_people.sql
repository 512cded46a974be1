-- How people are called back.
alter table users add column phone text;
