-- Links that sign a person in once, known by the digest of their secret; and what addresses resolve to.
create table sign_in_links (
    digest text primary key,
    account_id text not null references accounts (id),
    user_id text not null references users (id),
    next text not null,
    created_at bigint not null,
    expires_at bigint not null,
    used_at bigint
);
create index sign_in_links_expires on sign_in_links (expires_at);
alter table addresses add column ptr text;
