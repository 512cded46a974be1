-- The start of the database server for which a process has had the nodes looked at: a row that was replicated or restored vouches for no other.
alter table processes add column vouches_for text;
