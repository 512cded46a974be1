-- One row and one Message-ID a notice, written in the transaction of its cause.
create table mails (
    id text primary key,
    kind text not null,
    dedup_key text not null unique,
    account_id text,
    server_id text,
    recipient text not null,
    locale text not null,
    data text not null,
    message_id text not null,
    state text not null check (state in ('queued', 'sent', 'ambiguous', 'dead', 'superseded')),
    resend_of text,
    sending_at bigint,
    sent_at bigint,
    created_at bigint not null,
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
create index mails_due on mails (next_at, id) where next_at is not null;
create index mails_account on mails (account_id, id);
