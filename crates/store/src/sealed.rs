//! Secrets that must be read again: sealed with XChaCha20-Poly1305, bound to the table, column and row they belong to,
//! so that a sealed value copied elsewhere does not open.

use secrecy::{ExposeSecret, SecretString};
use sqlx::FromRow;

use crate::{KeyRing, Result, StoreError, Tx, args, dialect::Dialect};

/// Where a secret belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The column that it would be.
    pub column: &'a str,
    /// The row.
    pub id: &'a str,
}

impl Place<'_> {
    fn aad(self) -> String {
        format!("{}.{}:{}", self.table, self.column, self.id)
    }
}

impl Tx {
    pub(crate) fn ring(&self) -> Result<crate::KeyRing> {
        self.store.keys().cloned().ok_or_else(|| StoreError::Sealed("no key file is open; set [secrets] key_file".into()))
    }

    /// Seals a secret in the place of the one before it.
    pub async fn put_secret(&mut self, place: Place<'_>, secret: &SecretString) -> Result<()> {
        let (key, sealed) = self.ring()?.seal(&place.aad(), secret.expose_secret(), self.dice())?;
        let sql = "insert into sealed (owner_table, owner_column, owner_id, key_id, box) \
                   select $1, $2, $3, $4, $5 where not exists (select 1 from retired_keys r where r.key_id = $4) \
                   on conflict (owner_table, owner_column, owner_id) do update set key_id = excluded.key_id, box = excluded.box";
        match self.exec(sql, args![place.table, place.column, place.id, &key, sealed]).await? {
            1 => Ok(()),
            _ => Err(StoreError::Sealed(format!("the key file's first key '{key}' was removed; give this process the file of now, not a copy from before"))),
        }
    }

    /// Opens a secret.
    pub async fn secret(&mut self, place: Place<'_>) -> Result<Option<SecretString>> {
        let sql = "select key_id, box from sealed where owner_table = $1 and owner_column = $2 and owner_id = $3";
        let row: Option<(String, String)> = self.optional(sql, args![place.table, place.column, place.id]).await?;
        row.map(|(key, sealed)| self.ring()?.open(&place.aad(), &key, &sealed)).transpose()
    }

    /// Moves a secret to another column of the same row (a proposed password becomes the confirmed one).
    pub async fn move_secret(&mut self, from: Place<'_>, to: &str) -> Result<()> {
        if let Some(secret) = self.secret(from).await? {
            self.put_secret(Place { column: to, ..from }, &secret).await?;
            self.drop_secrets(from.table, from.id, Some(from.column)).await?;
        }
        Ok(())
    }

    /// Forgets the secrets of a row, or one of them.
    pub async fn drop_secrets(&mut self, table: &str, id: &str, column: Option<&str>) -> Result<()> {
        let sql = "delete from sealed where owner_table = $1 and owner_id = $2 and ($3 is null or owner_column = $3)";
        self.exec(sql, args![table, id, column]).await?;
        Ok(())
    }

    /// Takes keys out of use: nothing is sealed with them from now on. None of them is when one still seals something; which, and how much.
    pub async fn retire_keys(&mut self, old: &[String]) -> Result<Option<(String, i64)>> {
        // Whoever seals at this moment is waited for; who comes later finds them retired.
        if self.dialect() == Dialect::Postgres {
            self.exec("lock table sealed in share mode", &[]).await?;
        }
        if let Some(used) = self.sealed_by_key().await?.into_iter().find(|(id, _)| old.contains(id)) {
            return Ok(Some(used));
        }
        for id in old {
            let sql = "insert into retired_keys (key_id, retired_at) values ($1, $2) on conflict (key_id) do nothing";
            self.exec(sql, args![id, self.now]).await?;
        }
        Ok(None)
    }

    /// Seals up to `limit` secrets anew that another than this key sealed; how many are still to do, one that was written meanwhile included.
    pub async fn reseal(&mut self, first: &str, limit: i64) -> Result<i64> {
        let sql =
            "select owner_table, owner_column, owner_id, key_id, box from sealed where key_id <> $1 order by owner_table, owner_column, owner_id limit $2";
        for row in self.all::<Row>(sql, args![first, limit]).await? {
            let aad = Place { table: &row.owner_table, column: &row.owner_column, id: &row.owner_id }.aad();
            let secret = self.ring()?.open(&aad, &row.key_id, &row.sealed)?;
            let (key, sealed) = self.ring()?.seal(&aad, secret.expose_secret(), self.dice())?;
            let sql = "update sealed set key_id = $1, box = $2 where owner_table = $3 and owner_column = $4 and owner_id = $5 and box = $6 \
                       and not exists (select 1 from retired_keys r where r.key_id = $1)";
            self.exec(sql, args![key, sealed, &row.owner_table, &row.owner_column, &row.owner_id, &row.sealed]).await?;
        }
        self.int("select count(*) from sealed where key_id <> $1", args![first]).await
    }

    /// How many secrets each key sealed, by its id.
    pub async fn sealed_by_key(&mut self) -> Result<Vec<(String, i64)>> {
        self.all("select key_id, count(*) from sealed group by key_id order by key_id", &[]).await
    }

    /// Opens one secret of each kind and key; what goes wrong with those that do not open.
    pub async fn try_each_secret(&mut self, ring: &KeyRing) -> Result<Vec<String>> {
        let sql = "select owner_table, owner_column, owner_id, key_id, box from sealed s join (select owner_table as t, owner_column as c, key_id as k, min(owner_id) as id from sealed \
                   group by owner_table, owner_column, key_id) x on x.t = s.owner_table and x.c = s.owner_column and x.k = s.key_id and x.id = s.owner_id \
                   order by owner_table, owner_column, key_id";
        let rows: Vec<Row> = self.all(sql, &[]).await?;
        let open = |r: &Row| ring.open(&Place { table: &r.owner_table, column: &r.owner_column, id: &r.owner_id }.aad(), &r.key_id, &r.sealed).err();
        Ok(rows.iter().filter_map(open).map(|e| e.to_string()).collect())
    }

    /// Whether anything depends on the key file: sealed secrets, and the digests of keys.
    pub async fn needs_keys(&mut self) -> Result<bool> {
        // One after the other: an older schema has the first only, and needs its keys all the same.
        Ok(self.int("select count(*) from sealed", &[]).await? > 0 || self.int("select count(*) from api_keys", &[]).await? > 0)
    }
}

#[derive(FromRow)]
struct Row {
    owner_table: String,
    owner_column: String,
    owner_id: String,
    key_id: String,
    #[sqlx(rename = "box")]
    sealed: String,
}
