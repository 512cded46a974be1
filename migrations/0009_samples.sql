-- What servers use: the last sample of each (JSON), asked for by whoever looks, and their traffic by month (UTC).
create table server_samples (
    server_id text primary key references servers (id),
    asked_at bigint,
    sampled_at bigint,
    counters text,
    over_ms bigint,
    used text
);
create table traffic (
    server_id text not null references servers (id),
    month text not null,
    received_bytes bigint not null,
    sent_bytes bigint not null,
    primary key (server_id, month)
);
-- When a node is to be looked at next; it is worked on more often while somebody watches its servers. None: now.
alter table nodes add column look_at bigint;
