//! A document as PDF: A4, one column of lines, as many pages as it takes. The fonts go with it, so that every name can be read.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use krilla::{
    Data, Document as Pdf,
    color::rgb,
    geom::{PathBuilder, Point, Size, Transform},
    image::Image,
    metadata::Metadata,
    num::NormalizedF32,
    page::PageSettings,
    paint::{Fill, Stroke},
    surface::Surface,
    text::{Font, TextDirection},
};
use leasehold_domain::document::Document;
use skrifa::{
    FontRef, MetadataProvider,
    instance::{LocationRef, Size as Points},
};

use super::View;

/// A document that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the document cannot be written as PDF: {0}")]
pub struct BadDocument(String);

/// A4, points.
const PAGE: (f32, f32) = (595.28, 841.89);
const MARGIN: f32 = 56.0;
const RIGHT: f32 = PAGE.0 - MARGIN;
/// Lines end here; below is the foot.
const BOTTOM: f32 = PAGE.1 - 110.0;
const SIZE: f32 = 9.5;
const SMALL: f32 = 8.0;
const LEADING: f32 = 14.0;
/// Where the columns begin.
const PERIOD: f32 = MARGIN + 250.0;
const LOGO: (f32, f32) = (180.0, 44.0);

struct Face {
    font: Font,
    metrics: FontRef<'static>,
}

/// Read once.
static FACES: LazyLock<Option<(Face, Face)>> = LazyLock::new(|| Some((Face::new(dejavu::sans::regular())?, Face::new(dejavu::sans::bold())?)));

impl Face {
    fn new(bytes: &'static [u8]) -> Option<Self> {
        Some(Self { font: Font::new(Data::from(bytes.to_vec()), 0)?, metrics: FontRef::new(bytes).ok()? })
    }

    fn width(&self, text: &str, size: f32) -> f32 {
        let (map, glyphs) = (self.metrics.charmap(), self.metrics.glyph_metrics(Points::new(size), LocationRef::default()));
        text.chars().filter_map(|c| glyphs.advance_width(map.map(c).unwrap_or_default())).sum()
    }

    /// Breaks a text into lines of at most this width; a longer word is cut.
    fn wrap(&self, text: &str, size: f32, width: f32) -> Vec<String> {
        let mut lines = vec![String::new()];
        for word in text.split_whitespace() {
            let Some(line) = lines.last_mut() else { break };
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if self.width(&longer, size) <= width {
                *line = longer;
                continue;
            }
            if !line.is_empty() {
                lines.push(String::new());
            }
            for c in word.chars() {
                let Some(line) = lines.last_mut() else { break };
                if !line.is_empty() && self.width(&format!("{line}{c}"), size) > width {
                    lines.push(c.to_string());
                } else {
                    line.push(c);
                }
            }
        }
        lines
    }
}

/// Something on a page.
enum Mark {
    Text { x: f32, y: f32, size: f32, bold: bool, grey: bool, text: String },
    Rule { y: f32, strong: bool },
}

/// Pages of marks, written from top to bottom.
struct Layout<'a> {
    plain: &'a Face,
    bold: &'a Face,
    pages: Vec<Vec<Mark>>,
    y: f32,
}

impl Layout<'_> {
    fn mark(&mut self, mark: Mark) {
        if let Some(page) = self.pages.last_mut() {
            page.push(mark);
        }
    }

    fn text(&mut self, x: f32, text: &str, size: f32, bold: bool, grey: bool) {
        let y = self.y;
        self.mark(Mark::Text { x, y, size, bold, grey, text: text.to_owned() });
    }

    /// Text that ends at the right edge.
    fn amount(&mut self, text: &str, bold: bool) {
        let face = if bold { self.bold } else { self.plain };
        self.text(RIGHT - face.width(text, SIZE), text, SIZE, bold, false);
    }

    fn rule(&mut self, strong: bool) {
        let y = self.y + 4.0;
        self.mark(Mark::Rule { y, strong });
    }

    fn down(&mut self, by: f32) {
        self.y += by;
    }

    /// Room for so many lines, on the next page if need be.
    fn room_for(&mut self, lines: usize) {
        if self.y + lines as f32 * LEADING > BOTTOM {
            self.pages.push(Vec::new());
            self.y = MARGIN + LEADING;
        }
    }

    fn wrapped(&mut self, text: &str, width: f32) {
        for line in self.plain.wrap(text, SIZE, width) {
            self.room_for(1);
            self.text(MARGIN, &line, SIZE, false, false);
            self.down(LEADING);
        }
    }

    fn write(&mut self, v: &View<'_>) {
        self.seller(v);
        self.y = 170.0;
        let vat_id = v.buyer_vat_id.map(|id| format!("{} {id}", v.w.vat_id));
        for line in v.buyer.iter().copied().chain(vat_id.as_deref()) {
            self.text(MARGIN, line, SIZE, false, false);
            self.down(LEADING);
        }
        self.y = self.y.max(270.0) + LEADING;
        self.text(MARGIN, &format!("{} {}", v.w.title, v.number), 16.0, true, false);
        self.down(LEADING * 1.6);
        self.wrapped(&format!("{} {}", v.w.date, v.date), RIGHT - MARGIN);
        for (word, value) in [(v.w.corrects, v.corrects), (v.w.reason, v.reason)] {
            if let Some(value) = value {
                self.wrapped(&format!("{word} {value}"), RIGHT - MARGIN);
            }
        }
        self.down(LEADING);
        self.lines(v);
        self.down(LEADING * 1.5);
        for note in &v.notes {
            self.wrapped(note, RIGHT - MARGIN);
        }
        self.foot(v);
    }

    fn seller(&mut self, v: &View<'_>) {
        if v.logo.is_none() {
            self.y = MARGIN + 12.0;
            self.text(MARGIN, v.seller.first().copied().unwrap_or_default(), 14.0, true, false);
        }
        self.y = MARGIN + SMALL;
        let vat_id = v.seller_vat_id.map(|id| format!("{} {id}", v.w.vat_id));
        for line in v.seller.iter().copied().chain(vat_id.as_deref()).chain(v.seller_email) {
            self.text(RIGHT - self.plain.width(line, SMALL), line, SMALL, false, true);
            self.down(11.0);
        }
    }

    fn lines(&mut self, v: &View<'_>) {
        self.room_for(2);
        self.text(MARGIN, v.w.what, SIZE, true, false);
        self.text(PERIOD, v.w.period, SIZE, true, false);
        self.amount(v.w.amount, true);
        self.rule(true);
        self.down(LEADING * 1.4);
        for l in &v.lines {
            let description = self.plain.wrap(l.description, SIZE, PERIOD - MARGIN - 12.0);
            self.room_for(description.len());
            self.text(PERIOD, &l.period, SIZE, false, false);
            self.amount(&l.amount, false);
            for (n, line) in description.iter().enumerate() {
                self.down(if n == 0 { 0.0 } else { LEADING });
                self.text(MARGIN, line, SIZE, false, false);
            }
            self.rule(false);
            self.down(LEADING * 1.4);
        }
        // The sums stay together.
        self.room_for(v.sums.len() + 1);
        for (n, sum) in v.sums.iter().enumerate() {
            let last = n + 1 == v.sums.len();
            if last {
                self.y -= LEADING;
                self.rule(true);
                self.down(LEADING * 1.4);
            }
            self.text(PERIOD, &sum.label, SIZE, last, false);
            self.amount(&sum.amount, last);
            self.down(LEADING);
        }
    }

    fn foot(&mut self, v: &View<'_>) {
        let count = self.pages.len();
        for (n, page) in self.pages.iter_mut().enumerate() {
            let mut y = BOTTOM + 40.0;
            let number = (count > 1).then(|| format!("{} {}, {} {}/{count}", v.w.title, v.number, v.w.page, n + 1));
            for line in v.footer.iter().cloned().chain(number) {
                page.push(Mark::Text { x: MARGIN, y, size: SMALL, bold: false, grey: true, text: line });
                y += 11.0;
            }
        }
    }

    fn draw(&self, surface: &mut Surface<'_>, mark: &Mark) {
        let fill = |grey: bool| {
            let shade = if grey { 110 } else { 25 };
            Some(Fill { paint: rgb::Color::new(shade, shade, shade).into(), opacity: NormalizedF32::ONE, rule: krilla::paint::FillRule::default() })
        };
        match mark {
            Mark::Text { x, y, size, bold, grey, text } => {
                let face = if *bold { self.bold } else { self.plain };
                surface.set_fill(fill(*grey));
                surface.draw_text(Point::from_xy(*x, *y), face.font.clone(), *size, text, false, TextDirection::Auto);
            }
            Mark::Rule { y, strong } => {
                let shade = if *strong { 25 } else { 205 };
                let mut path = PathBuilder::new();
                path.move_to(MARGIN, *y);
                path.line_to(RIGHT, *y);
                surface.set_fill(None);
                surface.set_stroke(Some(Stroke { paint: rgb::Color::new(shade, shade, shade).into(), width: 0.6, ..Stroke::default() }));
                if let Some(path) = path.finish() {
                    surface.draw_path(&path);
                }
                surface.set_stroke(None);
            }
        }
    }
}

/// The image of a logo; else what is wrong with it.
fn logo(base64: &str) -> Result<Image, String> {
    let png = STANDARD.decode(base64).map_err(|e| e.to_string())?;
    let image = Image::from_png(png.into(), true)?;
    let (width, height) = image.size();
    // A few bytes may stand for very many of them, and each document draws it.
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(format!("it has {width} × {height} pixels, more than {PIXELS_MAX}"));
    }
    Ok(image)
}

/// Pixels of a logo.
const PIXELS_MAX: u64 = 4_000_000;

/// Whether a logo (a PNG in base64) can be drawn; else why not.
pub fn check_logo(base64: &str) -> Result<(), String> {
    let image = logo(base64)?;
    let mut pdf = Pdf::new();
    let mut page = pdf.start_page();
    draw_logo(&mut page.surface(), image);
    page.finish();
    // Its pixels are read as late as this.
    pdf.finish().map(drop).map_err(|e| format!("{e:?}"))
}

fn draw_logo(surface: &mut Surface<'_>, image: Image) {
    let (width, height) = (image.size().0 as f32, image.size().1 as f32);
    let scale = (LOGO.0 / width).min(LOGO.1 / height).min(1.0);
    if let Some(size) = Size::from_wh(width * scale, height * scale) {
        surface.push_transform(&Transform::from_translate(MARGIN, MARGIN - 10.0));
        surface.draw_image(image, size);
        surface.pop();
    }
}

/// An invoice or a credit note as PDF. A logo that cannot be drawn holds up no document: the name stands in its place.
pub fn pdf(d: &Document) -> Result<Vec<u8>, BadDocument> {
    let image = d.seller.logo.as_deref().and_then(|text| logo(text).ok());
    match image {
        Some(image) => draw(d, Some(&image)).or_else(|_| draw(d, None)),
        None => draw(d, None),
    }
}

fn draw(d: &Document, image: Option<&Image>) -> Result<Vec<u8>, BadDocument> {
    let (plain, bold) = FACES.as_ref().ok_or_else(|| BadDocument("its fonts cannot be read".into()))?;
    let mut view = View::of(d);
    view.logo = view.logo.filter(|_| image.is_some());
    let mut layout = Layout { plain, bold, pages: vec![Vec::new()], y: MARGIN };
    layout.write(&view);
    let mut pdf = Pdf::new();
    pdf.set_metadata(Metadata::new().title(format!("{} {}", view.w.title, d.number)).language(view.w.language.into()));
    for (n, marks) in layout.pages.iter().enumerate() {
        let settings = PageSettings::from_wh(PAGE.0, PAGE.1).ok_or_else(|| BadDocument("no such page".into()))?;
        let mut page = pdf.start_page_with(settings);
        let mut surface = page.surface();
        if let Some(image) = image.filter(|_| n == 0) {
            draw_logo(&mut surface, image.clone());
        }
        marks.iter().for_each(|mark| layout.draw(&mut surface, mark));
        surface.finish();
        page.finish();
    }
    pdf.finish().map_err(|e| BadDocument(format!("{e:?}")))
}
