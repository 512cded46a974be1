-- Who else acts for an account, by invitation; how people prove who they are; and which line machines elsewhere register with.
create table invitations (
    id text primary key,
    account_id text not null references accounts (id),
    email text not null,
    role text not null,
    invited_by text,
    created_at bigint not null,
    expires_at bigint not null,
    unique (account_id, email)
);
alter table users add column totp_step bigint;
create table sign_in_tries (
    who text primary key,
    tries bigint not null,
    locked_until bigint,
    tried_at bigint not null
);
alter table accounts add column registration bigint not null default 0;
-- An older program would let every member do everything.
update schema_info set min_binary = 3 where id = 1;
-- An address is one person's, however it is written.
update users set email = lower(email) where not exists (select 1 from users as other where other.id <> users.id and lower(other.email) = lower(users.email));
