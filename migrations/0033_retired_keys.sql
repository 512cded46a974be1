-- Sealing keys that went out of the key file: nothing is sealed with one again, also by a process that has an older copy of the file.
create table retired_keys (key_id text not null primary key, retired_at bigint not null);
