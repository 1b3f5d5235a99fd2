//! IDX, the format of MNIST's images: bytes in a known shape, plain or compressed with gzip.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};

use vae_core::format::MAX_LAYER_SIDE;

use crate::tables::{
    format::{most_unpacked, unpacks_to_too_much},
    table::Table,
};

/// Reads images (or any bytes in two or more dimensions) as a table: one row an item, one column `p0`, `p1`, … a pixel, grey
/// values scaled to 0 … 1.
///
/// # Errors
/// If the file cannot be read or is not IDX.
pub fn read_idx(path: &Path) -> Result<Table> {
    let name = path.display();
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let mut file = BufReader::new(file);
    file.read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    if bytes.starts_with(&[0x1F, 0x8B]) {
        let (packed, most) = (bytes.len() as u64, most_unpacked(bytes.len() as u64));
        let plain = unpacked(&bytes, most).with_context(|| format!("{name} is damaged: gzip cannot unpack it"))?;
        bytes = plain.ok_or_else(|| unpacks_to_too_much(most + 1, packed)).with_context(|| name.to_string())?;
    }
    let Some(([0, 0, 8, dimensions], rest)) = bytes.split_first_chunk::<4>() else {
        bail!(
            "{name} is not an IDX file of bytes (it should begin with 0, 0, 8 and the number of dimensions); a compressed CSV file \
             has to be unpacked first"
        );
    };
    let dimensions = usize::from(*dimensions);
    ensure!(dimensions >= 2, "{name} has {dimensions} dimension(s): images need at least two (are these the labels?)");
    let (sizes, data) = rest.split_at_checked(4 * dimensions).with_context(|| {
        format!(
            "{name} is truncated: its {dimensions} sizes take {} bytes and there are {}",
            4 * dimensions,
            rest.len()
        )
    })?;
    let sizes: Vec<usize> = sizes.as_chunks::<4>().0.iter().map(|size| u32::from_be_bytes(*size) as usize).collect();
    let pixels = sizes[1..].iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    let needed = pixels.and_then(|pixels| pixels.checked_mul(sizes[0]));
    let (Some(pixels), Some(needed)) = (pixels, needed) else { bail!("{name}: sizes {sizes:?} are too large") };
    // A few compressed bytes can say that there are millions, each of which would be given a name.
    ensure!(pixels <= MAX_LAYER_SIDE, "{name}: {pixels} pixels an item; at most {MAX_LAYER_SIDE} fit into a model");
    ensure!(
        data.len() == needed && needed > 0,
        "{name}: sizes {sizes:?} need {needed} bytes and there are {}",
        data.len()
    );
    Ok(Table {
        path: path.to_owned(),
        columns: (0..pixels).map(|pixel| format!("p{pixel}")).collect(),
        values: data.iter().map(|grey| f32::from(*grey) / 255.0).collect(),
        labels: None,
    })
}

/// What gzip has packed; nothing where that is more than so many bytes.
fn unpacked(packed: &[u8], most: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(packed).take(most + 1).read_to_end(&mut plain)?;
    Ok((plain.len() as u64 <= most).then_some(plain))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn plain_and_compressed_files_are_read_and_others_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images");
        let bytes = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 51, 255, 1, 2, 3];
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(&bytes).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(unpacked(&packed, 22).unwrap().as_deref(), Some(&bytes[..]));
        assert_eq!(unpacked(&packed, 21).unwrap(), None);
        for contents in [bytes.to_vec(), packed] {
            std::fs::write(&path, contents).unwrap();
            let table = read_idx(&path).unwrap();
            assert_eq!((table.columns.len(), table.rows()), (3, 2));
            assert_eq!(table.values[..3], [0.0, 0.2, 1.0]);
        }
        std::fs::write(&path, &bytes[..20]).unwrap();
        assert!(format!("{:#}", read_idx(&path).unwrap_err()).contains("need 6 bytes and there are 4"));
        std::fs::write(&path, [0, 0, 8, 1, 0, 0, 0, 1, 5]).unwrap();
        assert!(format!("{:#}", read_idx(&path).unwrap_err()).contains("labels"));
        let mut wide = vec![0, 0, 8, 2, 0, 0, 0, 1, 0, 1, 0, 1];
        wide.resize(12 + 65_537, 0);
        std::fs::write(&path, wide).unwrap();
        assert!(format!("{:#}", read_idx(&path).unwrap_err()).contains("65537 pixels an item; at most 65536"));
    }
}
