-- Double entry. The wallet row is its account's lock; transfers, charges and leases are written under it only.
create table wallets (
    account_id text primary key,
    currency text not null,
    posted bigint not null,
    held bigint not null check (held >= 0),
    settle_at bigint,
    check (posted - held >= 0)
);
create index wallets_settle on wallets (settle_at, account_id) where settle_at is not null;

create table ledger_accounts (
    id text primary key,
    kind text not null,
    currency text not null
);

-- No foreign keys: they cost more than the row itself, and the audit checks what they would.
create table transfers (
    reference text primary key,
    id text not null,
    wallet text,
    debit text not null,
    credit text not null,
    amount bigint not null check (amount > 0),
    currency text not null,
    code text not null,
    state text not null check (state in ('pending', 'posted', 'voided')),
    reason text,
    created_at bigint not null,
    resolved_at bigint
);
create index transfers_wallet on transfers (wallet, id) where wallet is not null;

create table leases (
    id text primary key,
    account_id text not null references accounts (id),
    server_id text not null unique,
    state text not null check (state in ('pending', 'active', 'past_due', 'suspended', 'ended')),
    cycle text not null,
    price bigint not null check (price >= 0),
    currency text not null,
    zone text not null,
    anchor_at bigint,
    anchor_no bigint not null,
    period_no bigint not null,
    paid_until bigint,
    decide_at bigint,
    auto_renew boolean not null,
    protect_until bigint,
    ended_at bigint,
    created_at bigint not null
);
create index leases_account on leases (account_id);

-- What a lease costs from which period on.
create table lease_lines (
    lease_id text not null references leases (id),
    no bigint not null,
    kind text not null,
    description text not null,
    amount bigint not null,
    from_period bigint not null,
    primary key (lease_id, no)
);

-- A charge is what it is for: that is its key.
create table charges (
    lease_id text not null references leases (id),
    kind text not null,
    no bigint not null,
    from_at bigint not null,
    until_at bigint not null,
    amount bigint not null check (amount >= 0),
    currency text not null,
    state text not null check (state in ('open', 'paid', 'void')),
    transfer text,
    created_at bigint not null,
    primary key (lease_id, kind, no)
);
create unique index charges_open on charges (lease_id) where state = 'open';

-- An order that is sent again gets the answer of the first.
create table idempotency (
    account_id text not null,
    key text not null,
    request text not null,
    answer text not null,
    created_at bigint not null,
    primary key (account_id, key)
);
