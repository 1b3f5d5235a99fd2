//! IDX, the format of MNIST's images: bytes in a known shape.

use std::io::Read;

use anyhow::{Context, Result, bail, ensure};

use vae_core::format::MAX_LAYER_SIDE;

use crate::tables::{
    growth::{Expected, reserve},
    recording::{Label, Recording},
    source::Source,
};

/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;

/// Reads images (or any bytes in two or more dimensions) as a table: one row an item, one column `p0`, `p1`, … a pixel, grey
/// values scaled to 0 … 1.
///
/// # Errors
/// If the file cannot be read or is not IDX.
pub(crate) fn read_idx(mut source: Source) -> Result<Recording> {
    let path = source.name.clone();
    let name = path.display();
    let sizes = sizes(&mut source)?;
    let pixels = sizes[1..].iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    let needed = pixels.and_then(|pixels| pixels.checked_mul(sizes[0]));
    let (Some(pixels), Some(needed)) = (pixels, needed) else { bail!("{name}: sizes {sizes:?} are too large") };
    // A few compressed bytes can say that there are millions, each of which would be given a name.
    ensure!(pixels <= MAX_LAYER_SIDE, "{name}: {pixels} pixels an item; at most {MAX_LAYER_SIDE} fit into a model");
    let (mut values, mut bytes, mut found) = (Vec::new(), vec![0; CHUNK], 0u64);
    loop {
        let read = source.read(&mut bytes).with_context(|| format!("cannot read {name}"))?;
        if read == 0 {
            break;
        }
        found += read as u64;
        // What is too much is counted.
        let taken = &bytes[..read.min(needed - values.len())];
        reserve(&mut values, taken.len(), || Expected::Count(needed), &path)?;
        values.extend(taken.iter().map(|grey| f32::from(*grey) / 255.0));
    }
    ensure!(found == needed as u64 && needed > 0, "{name}: sizes {sizes:?} need {needed} bytes and there are {found}");
    Recording::of_columns(&path, (0..pixels).map(|pixel| format!("p{pixel}")).collect(), values, Label::None)
}

/// The sizes of the dimensions, by the file's head.
fn sizes(source: &mut Source) -> Result<Vec<usize>> {
    let path = source.name.clone();
    let name = path.display();
    let [head, dimensions] = [source.start().get(..3), source.start().get(3..4)];
    let (Some([0, 0, 8]), Some(&[dimensions])) = (head, dimensions) else {
        bail!("{name} is not an IDX file of bytes (it should begin with 0, 0, 8 and the number of dimensions)");
    };
    let dimensions = usize::from(dimensions);
    ensure!(dimensions >= 2, "{name} has {dimensions} dimension(s): images need at least two (are these the labels?)");
    let mut head = Vec::new();
    let length = 4 + 4 * dimensions;
    source.take(length as u64).read_to_end(&mut head).with_context(|| format!("cannot read {name}"))?;
    let sizes = head.get(4..length).with_context(|| {
        format!(
            "{name} is truncated: its {dimensions} sizes take {} bytes and there are {}",
            4 * dimensions,
            head.len() - 4
        )
    })?;
    Ok(sizes.as_chunks::<4>().0.iter().map(|size| u32::from_be_bytes(*size) as usize).collect())
}

#[cfg(test)]
mod tests {
    use crate::tables::table::Table;

    #[test]
    fn images_are_read_and_others_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images");
        let read = |contents: &[u8]| {
            std::fs::write(&path, contents).unwrap();
            Table::read(&path, None).map_err(|error| format!("{error:#}"))
        };
        let bytes = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 51, 255, 1, 2, 3];
        let table = read(&bytes).unwrap();
        assert_eq!((table.columns.len(), table.rows()), (3, 2));
        assert_eq!(table.values[..3], [0.0, 0.2, 1.0]);
        assert!(read(&bytes[..20]).unwrap_err().contains("need 6 bytes and there are 4"));
        assert!(read(&[&bytes[..], &[0; 100]].concat()).unwrap_err().contains("need 6 bytes and there are 106"));
        assert!(read(&bytes[..9]).unwrap_err().contains("its 3 sizes take 12 bytes and there are 5"));
        assert!(read(&bytes[..3]).unwrap_err().contains("is not an IDX file of bytes"));
        assert!(read(&[0, 0, 8, 1, 0, 0, 0, 1, 5]).unwrap_err().contains("labels"));
        let mut wide = vec![0, 0, 8, 2, 0, 0, 0, 1, 0, 1, 0, 1];
        wide.resize(12 + 65_537, 0);
        assert!(read(&wide).unwrap_err().contains("65537 pixels an item; at most 65536"));
    }
}
