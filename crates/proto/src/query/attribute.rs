//! The attribute that a key names. Of a private one the tag says it only half: which block of its group belongs to
//! whom, the private creators in the same data set say, and that may be another block in each (PS3.5 7.8.1).

use crate::dataset::{DataSet, Tag};

/// What a key names: a standard attribute by its tag, a private one by group, creator and the last two digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The tag, in the block that the key has it in.
    pub tag: Tag,
    /// Who has reserved that block among the keys; nobody for a standard attribute, or where it was not said.
    pub creator: Option<String>,
}

impl Attribute {
    /// The attribute of a key among others.
    pub fn of_key(keys: &DataSet, tag: Tag) -> Attribute {
        let creator = is_private(tag).then(|| keys.text(creator_tag(tag))).flatten();
        Attribute { tag, creator }
    }

    /// The attributes that an item of a key names.
    pub fn all_of(item: &DataSet) -> Vec<Attribute> {
        let tags = item.tags().filter(|tag| !is_private_creator(*tag));
        tags.map(|tag| Attribute::of_key(item, tag)).collect()
    }

    /// Whether it is private and its creator unknown, so that it means nothing.
    pub fn is_nobodys(&self) -> bool {
        is_private(self.tag) && self.creator.is_none()
    }

    /// Where a data set has the attribute, if it has.
    pub fn tag_in(&self, data_set: &DataSet) -> Option<Tag> {
        let Some(creator) = &self.creator else {
            return Some(self.tag).filter(|tag| !self.is_nobodys() && data_set.contains(*tag));
        };
        let Tag(group, element) = self.tag;
        let blocks = data_set.tags().filter(|tag| tag.0 == group && is_private_creator(*tag));
        let own = blocks.filter(|tag| data_set.text(*tag).as_deref() == Some(creator));
        own.map(|block| Tag(group, block.1 << 8 | element & 0xFF)).find(|tag| data_set.contains(*tag))
    }

    /// Whether an element may be needed to find the attribute in a data set: the element itself or, of a private
    /// one, a creator or an element of any block that might be it.
    pub fn may_need(&self, tag: Tag) -> bool {
        match self.creator {
            None => tag == self.tag,
            Some(_) => tag.0 == self.tag.0 && (is_private_creator(tag) || tag.1 & 0xFF == self.tag.1 & 0xFF),
        }
    }

    /// Puts the attribute of a data set into an answer, under the tag of the key and with its creator; empty where the
    /// data set does not have it.
    pub fn answer(&self, data_set: &DataSet, answer: &mut DataSet) {
        match self.tag_in(data_set) {
            Some(tag) => answer.copy_as(self.tag, tag, data_set),
            None => answer.set_empty(self.tag),
        }
        self.answer_creator(answer);
    }

    /// Puts the creator of a private attribute into an answer.
    pub fn answer_creator(&self, answer: &mut DataSet) {
        if let Some(creator) = &self.creator {
            answer.set_text(creator_tag(self.tag), creator);
        }
    }
}

/// Whether an element reserves a block of private elements.
pub(super) fn is_private_creator(tag: Tag) -> bool {
    tag.0 % 2 == 1 && (0x0010..=0x00FF).contains(&tag.1)
}

fn is_private(tag: Tag) -> bool {
    tag.0 % 2 == 1
}

/// The element that reserves the block of a private one.
fn creator_tag(tag: Tag) -> Tag {
    Tag(tag.0, tag.1 >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::VR;

    fn data_set(creators: &[(u16, &str)], elements: &[(u16, &str)]) -> DataSet {
        let mut data_set = DataSet::new();
        for (element, text) in creators.iter().chain(elements) {
            data_set.set_text(Tag(0x0019, *element), text);
        }
        data_set
    }

    #[test]
    fn a_private_attribute_is_found_in_whichever_block_its_creator_has() {
        let keys = data_set(&[(0x0010, "ACME")], &[(0x1008, "")]);
        let attribute = Attribute::of_key(&keys, Tag(0x0019, 0x1008));
        let stored =
            data_set(&[(0x0010, "OTHER"), (0x0012, "ACME")], &[(0x1008, "theirs"), (0x1208, "ours")]);
        assert_eq!(attribute.tag_in(&stored), Some(Tag(0x0019, 0x1208)));
        let mut answer = DataSet::new();
        attribute.answer(&stored, &mut answer);
        assert_eq!(answer, data_set(&[(0x0010, "ACME")], &[(0x1008, "ours")]));

        let lacking = data_set(&[(0x0010, "OTHER")], &[(0x1008, "theirs")]);
        assert_eq!(attribute.tag_in(&lacking), None);
        let mut answer = DataSet::new();
        attribute.answer(&lacking, &mut answer);
        assert_eq!(answer.text(Tag(0x0019, 0x0010)).as_deref(), Some("ACME"));
        assert!(answer.contains(Tag(0x0019, 0x1008)) && answer.text(Tag(0x0019, 0x1008)).is_none());
    }

    #[test]
    fn without_a_creator_a_private_tag_means_nothing() {
        let keys = data_set(&[], &[(0x1008, "x")]);
        let attribute = Attribute::of_key(&keys, Tag(0x0019, 0x1008));
        assert!(attribute.is_nobodys());
        assert_eq!(attribute.tag_in(&keys), None);
    }

    #[test]
    fn a_block_that_is_reserved_twice_is_looked_through_twice() {
        let keys = data_set(&[(0x0010, "ACME")], &[(0x1008, "")]);
        let attribute = Attribute::of_key(&keys, Tag(0x0019, 0x1008));
        let stored = data_set(&[(0x0010, "ACME"), (0x0011, "ACME")], &[(0x1108, "here")]);
        assert_eq!(attribute.tag_in(&stored), Some(Tag(0x0019, 0x1108)));
        for (element, needed) in [(0x0010, true), (0x1108, true), (0x1208, true), (0x1009, false)] {
            assert_eq!(attribute.may_need(Tag(0x0019, element)), needed, "{element:04X}");
        }
        assert!(!attribute.may_need(Tag(0x0021, 0x1008)));
    }

    #[test]
    fn the_value_keeps_its_vr_under_another_tag() {
        let keys = data_set(&[(0x0010, "ACME")], &[(0x1008, "")]);
        let mut stored = data_set(&[(0x0013, "ACME")], &[]);
        stored.set_bytes(Tag(0x0019, 0x1308), VR::UN, b"bytes ");
        let mut answer = DataSet::new();
        Attribute::of_key(&keys, Tag(0x0019, 0x1008)).answer(&stored, &mut answer);
        assert_eq!(answer.vr(Tag(0x0019, 0x1008)), Some(VR::UN));
    }
}
