//! Grids of square grey images.

use anyhow::{Result, ensure};

/// A PNG of square grey images, `columns` side by side, in rows; 0 is black, 1 white. `images` holds `features` values each.
///
/// # Errors
/// If the features are not a square.
pub fn grid(images: &[f32], features: usize, columns: usize) -> Result<Vec<u8>> {
    const BORDER: usize = 1;
    let side = features.isqrt();
    ensure!(side * side == features, "{features} features are not a square image: write a .csv file");
    let cell = side + BORDER;
    let rows = (images.len() / features).div_ceil(columns);
    let (width, height) = (columns * cell + BORDER, rows * cell + BORDER);
    let mut pixels = vec![64u8; width * height];
    for (index, image) in images.chunks(features).enumerate() {
        let (top, left) = (BORDER + index / columns * cell, BORDER + index % columns * cell);
        for (row, values) in image.chunks(side).enumerate() {
            for (column, value) in values.iter().enumerate() {
                pixels[(top + row) * width + left + column] = (value.clamp(0.0, 1.0) * 255.0).round() as u8;
            }
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, u32::try_from(width)?, u32::try_from(height)?);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(bytes)
}
