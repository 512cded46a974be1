//! Who sells, and with which tax.

use base64::{Engine, engine::general_purpose::STANDARD};
use leasehold_domain::{Percent, VatId, document::Party, names};
use leasehold_store::Tx;

use super::Catalog;
use crate::{CommandError, Result};

/// The largest logo, bytes: it goes with every document.
const LOGO_MAX: usize = 100_000;

/// An image as text; else what is wrong with it.
pub(super) fn logo(image: &[u8]) -> std::result::Result<String, String> {
    if image.len() > LOGO_MAX {
        return Err(format!("it has {} bytes, more than {LOGO_MAX}", image.len()));
    }
    Ok(STANDARD.encode(image))
}

pub(super) async fn import(tx: &mut Tx, c: &Catalog) -> Result<()> {
    let invalid = |why: String| CommandError::Invalid(format!("seller: {why}"));
    if let Some(seller) = &c.seller {
        names::person(&seller.name).map_err(|e| invalid(e.to_string()))?;
        seller.country.as_deref().map_or(Ok(()), names::country).map_err(|e| invalid(e.to_string()))?;
        let number = seller.vat_id.as_deref().map(str::parse::<VatId>).transpose().map_err(|e| invalid(e.to_string()))?;
        let seller = &Party { vat_id: number.map(|number| number.to_string()), ..seller.clone() };
        names::address(&seller.address.join("\n")).map_err(|e| invalid(e.to_string()))?;
        let before = tx.seller().await?;
        if tx.party(before.as_deref()).await? != *seller {
            tx.set_seller(seller).await?;
        }
    }
    let mut rates = Vec::new();
    for (country, rate) in &c.tax {
        names::country(country).map_err(|e| CommandError::Invalid(format!("tax: {e}")))?;
        rates.push((country.clone(), rate.parse::<Percent>().map_err(|e| CommandError::Invalid(format!("tax {country}: {e}")))?));
    }
    if tx.tax_rates().await? != rates {
        tx.put_tax_rates(&rates).await?;
    }
    Ok(())
}
