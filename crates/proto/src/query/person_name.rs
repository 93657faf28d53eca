//! Person names made comparable: without case, accents and insignificant delimiters, per component group.
//!
//! PS3.5 6.2.1 has three component groups (alphabetic, ideographic, phonetic) of five components; PS3.4
//! C.2.2.2.1 leaves it to the SCP whether case and accents count. Here they do not. Meaning is not guessed:
//! `Mueller` is not `Müller`.

use unicode_normalization::UnicodeNormalization;

use super::pattern::{Pattern, Piece};

/// The component groups of a name, normalised. A group that is not there is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NormalisedName {
    /// The first group, in letters.
    pub alphabetic: String,
    /// The second group, in ideographs.
    pub ideographic: String,
    /// The third group, by sound.
    pub phonetic: String,
}

impl NormalisedName {
    /// The groups in their order.
    pub fn groups(&self) -> [&str; 3] {
        [&self.alphabetic, &self.ideographic, &self.phonetic]
    }
}

/// Normalises a name: lower case, no accents, compatibility forms (half-width kana, full-width letters) as the
/// usual ones, single spaces, no empty components at the end of a group.
pub fn normalise_person_name(name: &str) -> NormalisedName {
    let mut groups = name.splitn(3, '=').map(normalise_group);
    let mut next = || groups.next().unwrap_or_default();
    NormalisedName { alphabetic: next(), ideographic: next(), phonetic: next() }
}

fn normalise_group(group: &str) -> String {
    let components: Vec<String> = group.split('^').map(|component| tidy(&fold(component))).collect();
    components.join("^").trim_end_matches('^').to_owned()
}

fn tidy(component: &str) -> String {
    component.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Takes case and accents away, character by character, so that a piece of a name folds to a piece of the
/// folded name.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut folded = String::with_capacity(text.len());
    for character in text.nfkd().filter(|character| !is_accent(*character)).flat_map(char::to_lowercase) {
        match character {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'þ' => folded.push_str("th"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'ħ' => folded.push('h'),
            'ŧ' => folded.push('t'),
            'ı' => folded.push('i'),
            'ς' => folded.push('σ'),
            // Lower case of a capital I with a dot brings the dot back as an accent of its own.
            accent if is_accent(accent) => {}
            other => folded.push(other),
        }
    }
    // Kana with its sound marks and Hangul were taken apart as well: these are letters, not accents.
    folded.nfc().collect()
}

/// Accents of Latin, Greek and Cyrillic, points of Hebrew and Arabic; not the sound marks of kana.
fn is_accent(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36F}' | '\u{591}'..='\u{5C7}' | '\u{640}' | '\u{64B}'..='\u{65F}' | '\u{670}')
}

/// What a key of VR PN asks of a name. In each list one pattern has to match; an empty list asks nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameKey {
    /// The key asks something in its first group only: any group of the name may match it.
    AnyGroup(Vec<Pattern>),
    /// The key has several: each group is held against the same group of the name.
    Groups([Vec<Pattern>; 3]),
}

impl NameKey {
    /// Reads a key value, wildcards in it or not.
    pub fn new(value: &str) -> NameKey {
        let mut groups = value.splitn(3, '=').map(group_patterns);
        let mut next = || groups.next().unwrap_or_default();
        let [first, second, third] = [next(), next(), next()];
        if second.is_empty() && third.is_empty() {
            NameKey::AnyGroup(first)
        } else {
            NameKey::Groups([first, second, third])
        }
    }

    /// Whether it asks nothing.
    pub fn is_universal(&self) -> bool {
        match self {
            NameKey::AnyGroup(patterns) => patterns.is_empty(),
            NameKey::Groups(groups) => groups.iter().all(Vec::is_empty),
        }
    }

    /// Whether a name, normalised, is what the key asks for.
    pub fn matches(&self, name: &NormalisedName) -> bool {
        let one_of = |patterns: &[Pattern], group: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(group))
        };
        match self {
            NameKey::AnyGroup(patterns) => name.groups().iter().any(|group| one_of(patterns, group)),
            NameKey::Groups(groups) => {
                groups.iter().zip(name.groups()).all(|(patterns, group)| one_of(patterns, group))
            }
        }
    }
}

fn group_patterns(group: &str) -> Vec<Pattern> {
    if !Pattern::has_wildcard(group) {
        let literal = normalise_group(group);
        return if literal.is_empty() { Vec::new() } else { vec![Pattern::of_literal(&literal)] };
    }
    let pattern = Pattern::new(group).map_literals(fold);
    // Empty components at the end are not written: `Bowen^*` is for `Bowen` too, `*` for every name.
    let mut pieces = pattern.pieces().to_vec();
    let mut patterns = vec![pattern];
    if patterns[0].is_any() {
        return Vec::new();
    }
    if pieces.pop() == Some(Piece::Any)
        && let Some(Piece::Literal(text)) = pieces.last_mut()
        && text.ends_with('^')
    {
        *text = text.trim_end_matches('^').to_owned();
        pieces.retain(|piece| *piece != Piece::Literal(String::new()));
        patterns.push(Pattern::of_pieces(pieces));
    }
    patterns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_accents_and_trailing_delimiters_do_not_count() {
        for (one, other) in [
            ("Bowen^William^^Dr", "BOWEN^WILLIAM^^DR^"),
            ("Müller^Jérôme", "MULLER^Jerome"),
            ("Strauß", "STRAUSS"),
            ("İpek^Işık", "ipek^isik"),
            ("Łukasz^Ødegård", "lukasz^odegard"),
            ("Γιώργος", "ΓΙΩΡΓΟΣ"),
            ("Ёлкин", "елкин"),
            ("ﾔﾏﾀﾞ^ﾀﾛｳ", "ヤマダ^タロウ"),
            ("Ｙａｍａｄａ", "yamada"),
            ("van  der Berg ^ Jan ", "van der Berg^Jan"),
            ("Smith^John==", "Smith^John"),
            ("שָׁלוֹם", "שלום"),
        ] {
            assert_eq!(normalise_person_name(one), normalise_person_name(other), "{one} {other}");
        }
    }

    #[test]
    fn letters_of_other_scripts_are_not_accents() {
        assert_ne!(normalise_person_name("が"), normalise_person_name("か"));
        assert_ne!(normalise_person_name("ば"), normalise_person_name("ぱ"));
        assert_eq!(normalise_person_name("홍^길동").alphabetic, "홍^길동");
        assert_ne!(normalise_person_name("Müller"), normalise_person_name("Mueller"));
    }

    #[test]
    fn groups_stay_apart() {
        let name = normalise_person_name("Yamada^Tarou=山田^太郎=やまだ^たろう");
        assert_eq!(name.groups(), ["yamada^tarou", "山田^太郎", "やまだ^たろう"]);
    }

    #[test]
    fn a_key_of_one_group_is_for_any_group_and_one_of_several_for_each() {
        let name = normalise_person_name("Yamada^Tarou=山田^太郎=やまだ^たろう");
        for (key, expected) in [
            ("yamada*", true),
            ("山田*", true),
            ("やまだ^たろう", true),
            ("Yamada", false),
            ("Yamada^Tarou=山田^太郎", true),
            ("Yamada^Tarou=田山*", false),
            ("=山田^太郎", true),
            ("=Yamada*", false),
            ("*=山田*", true),
            ("Y?mada^T*", true),
            ("*", true),
            ("", true),
            ("*=*=*", true),
        ] {
            assert_eq!(NameKey::new(key).matches(&name), expected, "{key}");
        }
        assert!(NameKey::new("*=*").is_universal());
        assert!(!NameKey::new("a*").is_universal());
    }

    #[test]
    fn a_letter_that_folds_to_two_takes_two_question_marks() {
        for (name, one, two) in [
            ("Straße^Ößwald", "Stra?e*", "Stra??e*"),
            ("Æsir^Þor", "?sir*", "??sir*"),
            ("Æsir^Þor", "*^?or", "*^??or"),
        ] {
            let name = normalise_person_name(name);
            assert!(!NameKey::new(one).matches(&name) && NameKey::new(two).matches(&name), "{one} {two}");
        }
        // An accent that is taken away is none of its letter.
        assert!(NameKey::new("M?ller^J?r?me").matches(&normalise_person_name("Müller^Jérôme")));
    }

    #[test]
    fn a_missing_component_is_an_empty_one() {
        let name = normalise_person_name("Bowen");
        for key in ["Bowen^*", "Bowen^^*", "BOWEN^", "B?wen^*"] {
            assert!(NameKey::new(key).matches(&name), "{key}");
        }
        assert!(!NameKey::new("Bowen^?*").matches(&name));
        assert!(NameKey::new("Bowen^*").matches(&normalise_person_name("Bowen^William")));
        assert!(!NameKey::new("Bowen^*").matches(&normalise_person_name("Bowens")));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(name in ".{0,30}") {
            let once = normalise_person_name(&name);
            let again = normalise_person_name(&once.groups().join("="));
            if !once.groups().concat().contains('=') {
                prop_assert_eq!(once, again);
            }
        }

        #[test]
        fn a_name_is_found_by_itself(name in "[A-Za-zÀ-ÿ^ ]{0,20}") {
            prop_assert!(NameKey::new(&name).matches(&normalise_person_name(&name)));
        }
    }
}
