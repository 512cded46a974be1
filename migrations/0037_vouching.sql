-- The start of the database server at which a process gave its last sign of life, and whether it had the nodes looked at for it: a row that was
-- replicated or restored says nothing of another.
alter table processes add column server text;
alter table processes add column vouches boolean not null default false;
-- How many signs of life a process gave: one that remembers more than its row says has seen books that were newer than these.
alter table processes add column beats bigint not null default 0;
