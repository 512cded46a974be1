-- Machines that customers have elsewhere, and told of themselves.
create table machines (
    id text primary key,
    account_id text not null references accounts (id),
    machine text not null,
    name text not null,
    vendor text not null,
    addresses text not null,
    created_at bigint not null,
    seen_at bigint not null,
    unique (account_id, machine)
);
