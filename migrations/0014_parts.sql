-- Of a charge for a part of a period: where the whole would have ended. The audit computes every charge again from the lease's lines.
alter table charges add column full_until bigint;
