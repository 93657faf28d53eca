//! Where the planes of a dose are when frames are taken out: PS3.3 C.8.8.3.2. Image Position (Patient) is that of the
//! first frame, and Grid Frame Offset Vector is of one of two kinds:
//!
//! ```text
//! relative   begins with 0              along the normal of the planes, from the position
//! absolute   begins with the position's z   along the z axis; only of transverse planes
//! ```

const TRANSVERSE: [f64; 6] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];

/// Position and offsets of some planes, in mm.
#[derive(Debug, PartialEq)]
pub(super) struct DoseGrid {
    /// Image Position (Patient).
    pub(super) position: [f64; 3],
    /// Grid Frame Offset Vector, of the kind that it was.
    pub(super) offsets: Vec<f64>,
}

impl DoseGrid {
    /// The planes of the frames with these numbers, which are among those that there are offsets for. `None` when the
    /// offsets are of neither kind, so that nobody knows where the planes are.
    pub(super) fn of_frames(
        position: &[f64],
        orientation: &[f64],
        offsets: &[f64],
        numbers: &[u32],
    ) -> Option<DoseGrid> {
        let position: [f64; 3] = position.try_into().ok()?;
        let orientation: [f64; 6] = orientation.try_into().ok()?;
        let [x, y, z] = position;
        let offset = |number: &u32| offsets.get(*number as usize - 1).copied();
        let taken: Vec<f64> = numbers.iter().map(offset).collect::<Option<_>>()?;
        let (origin, first) = (*offsets.first()?, *taken.first()?);
        if origin == 0.0 {
            let [a, b, c] = normal(orientation);
            Some(DoseGrid {
                position: [x + first * a, y + first * b, z + first * c],
                offsets: taken.iter().map(|offset| offset - first).collect(),
            })
        } else if origin == z && orientation == TRANSVERSE {
            Some(DoseGrid { position: [x, y, first], offsets: taken })
        } else {
            None
        }
    }
}

/// The cross product of the directions of rows and columns.
fn normal([a, b, c, d, e, f]: [f64; 6]) -> [f64; 3] {
    [b * f - c * e, c * d - a * f, a * e - b * d]
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITION: [f64; 3] = [10.0, 20.0, -30.0];

    #[test]
    fn relative_offsets_begin_with_zero_again_and_the_position_moves_along_the_normal() {
        let offsets = [0.0, 5.0, 10.0, 20.0];
        for (orientation, position) in [
            (TRANSVERSE, [10.0, 20.0, -20.0]),
            // Coronal: rows to the left, columns to the feet, so that the normal is to the back.
            ([1.0, 0.0, 0.0, 0.0, 0.0, -1.0], [10.0, 30.0, -30.0]),
            // Transverse, with rows to the right.
            ([-1.0, 0.0, 0.0, 0.0, 1.0, 0.0], [10.0, 20.0, -40.0]),
        ] {
            let grid = DoseGrid::of_frames(&POSITION, &orientation, &offsets, &[3, 4]);
            assert_eq!(grid, Some(DoseGrid { position, offsets: vec![0.0, 10.0] }), "{orientation:?}");
        }
        let from_the_first = DoseGrid::of_frames(&POSITION, &TRANSVERSE, &offsets, &[1, 3]);
        assert_eq!(from_the_first, Some(DoseGrid { position: POSITION, offsets: vec![0.0, 10.0] }));
    }

    #[test]
    fn absolute_offsets_stay_and_the_position_is_that_of_the_first_frame() {
        let offsets = [-30.0, -25.0, -20.0];
        let grid = DoseGrid::of_frames(&POSITION, &TRANSVERSE, &offsets, &[2, 3]);
        assert_eq!(grid, Some(DoseGrid { position: [10.0, 20.0, -25.0], offsets: vec![-25.0, -20.0] }));
    }

    #[test]
    fn what_is_of_neither_kind_is_nowhere() {
        let coronal = [1.0, 0.0, 0.0, 0.0, 0.0, -1.0];
        assert_eq!(DoseGrid::of_frames(&POSITION, &coronal, &[-30.0, -25.0], &[2]), None);
        assert_eq!(DoseGrid::of_frames(&POSITION, &TRANSVERSE, &[1.0, 2.0], &[2]), None);
        assert_eq!(DoseGrid::of_frames(&POSITION, &TRANSVERSE, &[0.0, 1.0], &[3]), None);
        assert_eq!(DoseGrid::of_frames(&POSITION[..2], &TRANSVERSE, &[0.0, 1.0], &[2]), None);
    }
}
