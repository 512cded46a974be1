-- The SSH keys that were chosen for a server. One without any is built with all of its account's.
create table server_ssh_keys (
    server_id text not null references servers (id),
    ssh_key_id text not null,
    primary key (server_id, ssh_key_id)
);
