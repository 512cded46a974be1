-- CDs that a server can start from, beside the images of disks.
alter table templates add column medium text not null default 'image';
alter table templates add column description text;
alter table templates add column kind text;
alter table templates add column size bigint;
alter table templates add column ready boolean not null default true;
