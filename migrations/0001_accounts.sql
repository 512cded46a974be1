-- Who pays, who signs in, and with which keys.
create table accounts (
    id text primary key,
    number bigint not null unique,
    email text not null,
    first_name text not null,
    last_name text not null,
    company text,
    currency text not null,
    locale text not null,
    state text not null check (state in ('active', 'frozen', 'closed')),
    created_at bigint not null
);
create index accounts_email on accounts (email);

create table users (
    id text primary key,
    email text not null unique,
    first_name text not null,
    last_name text not null,
    password_hash text,
    created_at bigint not null
);

create table members (
    account_id text not null references accounts (id),
    user_id text not null references users (id),
    role text not null,
    primary key (account_id, user_id)
);
create index members_user on members (user_id);

create table api_keys (
    id text primary key,
    account_id text references accounts (id),
    user_id text references users (id),
    kind text not null,
    prefix text not null,
    public_id text not null unique,
    secret_hmac text not null,
    scopes text not null,
    created_at bigint not null,
    expires_at bigint,
    revoked_at bigint,
    last_used_at bigint
);
create index api_keys_account on api_keys (account_id);

create table ssh_keys (
    id text primary key,
    number bigint not null unique,
    account_id text not null references accounts (id),
    name text not null,
    fingerprint text not null,
    public_key text not null,
    created_at bigint not null,
    unique (account_id, fingerprint)
);

-- Secrets that must be read again: XChaCha20-Poly1305, bound to the table, column and row they belong to.
create table sealed (
    owner_table text not null,
    owner_column text not null,
    owner_id text not null,
    key_id text not null,
    box text not null,
    primary key (owner_table, owner_column, owner_id)
);

-- Numbers that people see: one row a series.
create table counters (
    name text primary key,
    value bigint not null
);
