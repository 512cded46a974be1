-- What keys are for, in words; and which SSH keys a server was built with.
alter table api_keys add column service text;
alter table api_keys add column description text;
create table built_ssh_keys (
    server_id text not null references servers (id),
    ssh_key_id text not null,
    primary key (server_id, ssh_key_id)
);
create index built_ssh_keys_key on built_ssh_keys (ssh_key_id, server_id);
