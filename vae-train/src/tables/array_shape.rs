//! What an array's shape means as a table: rows × columns, or a question.

use anyhow::{Result, bail, ensure};

use crate::{tables::table::MAX_FEATURES, words::foreign::excerpt};

/// Rows and columns that look exchanged: at most so many rows, and at least so many times as many columns. Sensors have few channels and
/// many samples; images that a table holds are rather more than the first few, and those that are few are not this wide.
const EXCHANGED: [(usize, usize); 2] = [(16, 8), (64, 64)];

/// An array's shape as it is written, or its beginning: a header may have thousands of dimensions.
pub(crate) fn shown(shape: &[usize]) -> String {
    excerpt(&format!("{shape:?}"))
}

/// Rows and columns of the table that an array of this shape is.
///
/// # Errors
/// If it has no value, or not one or two dimensions: with what to do.
pub(crate) fn rows_and_columns(shape: &[usize]) -> Result<(usize, usize)> {
    let (rows, columns) = match *shape {
        [rows] => (rows, 1),
        [rows, columns] => (rows, columns),
        [first, second, third] => bail!("{}", of_three([first, second, third])),
        _ => bail!("its shape is {} and a table has two dimensions, rows × columns: reshape it", shown(shape)),
    };
    ensure!(rows > 0 && columns > 0, "its shape is {}: it holds no value", shown(shape));
    ensure!(
        columns <= MAX_FEATURES,
        "its shape is {}, rows × columns: at most {MAX_FEATURES} columns fit into a model (are the {rows} channels, and is it to be \
         transposed, np.save('new.npy', a.T)?)",
        shown(shape)
    );
    Ok((rows, columns))
}

/// What an array of three dimensions becomes: samples of the channels one below the other, by either order of them, the likelier one first.
fn of_three([first, second, third]: [usize; 3]) -> String {
    let samples_first = format!(
        "{first} windows of {second} samples × {third} channels become one with a.reshape(-1, {third}), fit --window {second} --hop {second}"
    );
    let channels_first = format!(
        "{first} windows of {second} channels × {third} samples become one with a.transpose(0, 2, 1).reshape(-1, {second}), fit --window \
         {third} --hop {third}"
    );
    let images = format!("{first} images with a.reshape({first}, -1)");
    // Windows have more samples than channels, images about as many rows as columns.
    let readings = if second.max(third) < 2 * second.min(third) && second.min(third) > 8 {
        [images, samples_first, channels_first]
    } else if second < third {
        [channels_first, samples_first, images]
    } else {
        [samples_first, channels_first, images]
    };
    format!(
        "its shape is ({first}, {second}, {third}) and a table has two dimensions, so say what they are: {}",
        readings.join("; or ")
    )
}

/// What is to be asked of a table whose rows look like channels; `None` for others.
pub(crate) fn question(rows: usize, columns: usize) -> Option<String> {
    let is_exchanged = EXCHANGED.iter().any(|(most, times)| rows <= *most && columns >= rows.saturating_mul(*times));
    if !is_exchanged {
        return None;
    }
    let advice = match rows {
        1 => format!("if it is one signal of {columns} samples, np.save('new.npy', a.reshape(-1, 1))"),
        _ => format!("if it is {rows} channels of {columns} samples, np.save('new.npy', a.T)"),
    };
    Some(format!(
        "its shape is ({rows}, {columns}), and a table has a row for each sample and a column for each channel: {advice}; rows of {columns} \
         values each are taken where there are more of them, or by a model that has all {columns} columns"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_of_many_columns_are_asked_about_and_images_are_not() {
        for (rows, columns) in [(3, 3000), (1, 100), (1, 8), (16, 128), (8, 30_000), (64, 30_000)] {
            assert!(question(rows, columns).is_some(), "{rows} {columns}");
        }
        for (rows, columns) in [
            (10_000, 784),
            (100, 784),
            (20, 784),
            (64, 784),
            (16, 100),
            (2, 3),
            (1, 7),
            (1, 1),
            (65, 65_536),
            (3000, 3),
        ] {
            assert_eq!(question(rows, columns), None, "{rows} {columns}");
        }
        assert!(question(3, 3000).unwrap().contains("3 channels of 3000 samples, np.save('new.npy', a.T)"));
        assert!(
            question(1, 3000).unwrap().contains("one signal of 3000 samples, np.save('new.npy', a.reshape(-1, 1))")
        );
    }

    #[test]
    fn three_dimensions_are_told_by_which_is_small_and_no_recipe_mixes_samples_and_channels() {
        let message = |shape: [usize; 3]| rows_and_columns(&shape).unwrap_err().to_string();
        let before =
            |message: &str, first: &str, second: &str| message.find(first).unwrap() < message.find(second).unwrap();
        let (samples_first, channels_first) = ("a.reshape(-1, ", "a.transpose(0, 2, 1).reshape(-1, ");
        let batch = message([50, 3, 64]);
        assert!(batch.contains("(0, 2, 1).reshape(-1, 3), fit --window 64 --hop 64"), "{batch}");
        assert!(before(&batch, channels_first, samples_first), "{batch}");
        let windows = message([50, 64, 3]);
        assert!(windows.contains("a.reshape(-1, 3), fit --window 64 --hop 64"), "{windows}");
        assert!(before(&windows, samples_first, channels_first), "{windows}");
        let images = message([60_000, 28, 28]);
        assert!(before(&images, "60000 images with a.reshape(60000, -1)", samples_first), "{images}");
    }
}
