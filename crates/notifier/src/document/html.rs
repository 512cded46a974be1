//! A document as a page for a browser.

use leasehold_domain::document::Document;

use super::View;
use crate::{RenderError, Renderer};

/// Its name among the templates.
const TEMPLATE: &str = "document.html";

impl Renderer {
    /// An invoice or a credit note as HTML.
    pub fn document(&self, d: &Document) -> Result<String, RenderError> {
        self.page(TEMPLATE, &View::of(d))
    }
}
