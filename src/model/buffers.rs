//! Vectors that a pass is done with, kept for its next steps.

/// Memory that is asked for anew is cleared, and by one thread while the others wait: some per cent of a long prompt's time.
#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<Vec<f32>>);

impl Buffers {
    /// So many numbers, whichever: all are to be written before they are read.
    pub fn take(&mut self, len: usize) -> Vec<f32> {
        let places = self.0.iter().enumerate().filter(|(_, kept)| kept.capacity() >= len);
        let smallest = places.min_by_key(|(_, kept)| kept.capacity()).map(|(place, _)| place);
        let mut taken = smallest.map(|place| self.0.swap_remove(place)).unwrap_or_default();
        taken.resize(len, 0.0);
        taken
    }

    /// These numbers, to be changed.
    pub fn copy(&mut self, numbers: &[f32]) -> Vec<f32> {
        let mut copy = self.take(numbers.len());
        copy.copy_from_slice(numbers);
        copy
    }

    /// Keeps what nobody needs any more.
    pub fn give<const N: usize>(&mut self, done: [Vec<f32>; N]) {
        self.0.extend(done);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_taken_again_where_it_is_long_enough() {
        let mut buffers = Buffers::default();
        let [long, short] = [1000, 10].map(|len| buffers.take(len));
        let places = [long.as_ptr(), short.as_ptr()];
        buffers.give([long, short]);
        let (middle, copied) = (buffers.take(500), buffers.copy(&[1.0, 2.0]));
        assert_eq!([middle.as_ptr(), copied.as_ptr()], places);
        assert_eq!((middle.len(), copied), (500, vec![1.0, 2.0]));
        assert_eq!(buffers.take(3), [0.0; 3]);
    }
}
