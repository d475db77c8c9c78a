//! A map from pages, named by numbers or pairs of them, as a sorted list: what is soft-locked is few pages, and mostly adjoining ones.

use alloc::vec::Vec;

use crate::list;

/// A value for each of some pages, ascending.
pub struct Pages<V, K = u64>(Vec<(K, V)>);

impl<V, K> Default for Pages<V, K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<V, K: Ord + Copy> Pages<V, K> {
    /// No pages.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Where a page is, or is to be inserted.
    fn find(&self, page: K) -> Result<usize, usize> {
        // Mostly the next page behind all others.
        match self.0.last() {
            Some((last, _)) if *last < page => Err(self.0.len()),
            _ => self.0.binary_search_by_key(&page, |(page, _)| *page),
        }
    }

    /// Whether no page has a value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many pages have a value.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value of a page.
    pub fn get_mut(&mut self, page: K) -> Option<&mut V> {
        let at = self.find(page).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Changes the value of a page, which begins as the default; `f` returns whether the page keeps it.
    pub fn change(&mut self, page: K, f: impl FnOnce(&mut V) -> bool)
    where
        V: Default,
    {
        let at = self.find(page);
        if let Ok(at) = at
            && let Some((_, value)) = self.0.get_mut(at)
        {
            if !f(value) {
                self.take(at);
            }
            return;
        }
        let mut value = V::default();
        if f(&mut value) {
            // Without memory for it the page has no value.
            let _ = list::insert(&mut self.0, at.unwrap_or_else(|at| at), (page, value));
        }
    }

    /// Takes a page's value away.
    pub fn remove(&mut self, page: K) -> Option<V> {
        let at = self.find(page).ok()?;
        self.take(at)
    }

    /// Takes away the first page from `first` to `last` that has a value; returns it.
    pub fn take_first(&mut self, first: K, last: K) -> Option<K> {
        let at = self.find(first).unwrap_or_else(|at| at);
        let page = self.0.get(at).map(|(page, _)| *page).filter(|page| *page <= last)?;
        self.take(at);
        Some(page)
    }

    /// Takes the value at a place of the list away. An empty list keeps no memory.
    fn take(&mut self, at: usize) -> Option<V> {
        let taken = list::take(&mut self.0, at);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        taken.map(|(_, value)| value)
    }

    /// The values of the pages from `first` to `last`, with them.
    pub fn range(&self, first: K, last: K) -> impl Iterator<Item = &(K, V)> {
        let from = self.find(first).unwrap_or_else(|at| at);
        self.0.iter().skip(from).take_while(move |(page, _)| *page <= last)
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_page() {
        let mut pages = Pages::new();
        for page in [5, 1, 3, 5] {
            pages.change(page, |n: &mut u32| {
                *n += 1;
                true
            });
        }
        assert_eq!(pages.range(0, 9).copied().collect::<Vec<_>>(), [(1, 1), (3, 1), (5, 2)]);
        assert_eq!(pages.range(2, 4).count(), 1);
        assert_eq!((pages.get_mut(3).copied(), pages.get_mut(4)), (Some(1), None));
        assert_eq!((pages.remove(3), pages.remove(3)), (Some(1), None));
        pages.change(5, |_| false);
        pages.change(7, |_| false);
        assert_eq!((pages.len(), pages.values().sum::<u32>()), (1, 1));
    }
}
