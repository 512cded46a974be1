-- What accounts want to be told over HTTP, and what is told: one row a webhook and event, written with its cause.
create table webhooks (
    id text primary key,
    account_id text not null references accounts (id),
    url text not null,
    events text not null,
    created_at bigint not null,
    failing_since bigint,
    next_try_at bigint,
    disabled_at bigint
);
create index webhooks_account on webhooks (account_id, id);

create table webhook_deliveries (
    id text primary key,
    webhook_id text not null,
    account_id text not null,
    event text not null,
    body text not null,
    state text not null check (state in ('queued', 'delivered', 'dead')),
    answer bigint,
    created_at bigint not null,
    tried_at bigint,
    delivered_at bigint,
    next_at bigint,
    claimed_by text,
    claimed_until bigint,
    epoch bigint not null default 0,
    wants bigint not null default 0,
    attempt bigint not null default 0,
    lost bigint not null default 0,
    last_error text,
    parked_at bigint
);
create index webhook_deliveries_due on webhook_deliveries (next_at, id) where next_at is not null;
create index webhook_deliveries_webhook on webhook_deliveries (webhook_id, created_at, id);
create index webhook_deliveries_created on webhook_deliveries (created_at, id);
create index webhook_deliveries_parked on webhook_deliveries (id) where parked_at is not null;
