//! Names that are near to one that does not exist.

/// So many are told.
const TOLD: usize = 3;

/// The nearest of `names`, best first; none if nothing is near.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    // Behind the name there may be a sentence.
    let end = typed.find(|c: char| c.is_whitespace() || c == '|').unwrap_or(typed.len());
    let typed: Vec<char> = typed.to_lowercase().chars().take(end.min(64)).collect();
    let limit = (typed.len() / 3).max(2);
    let mut found: Vec<(usize, &str)> = names
        .into_iter()
        .filter_map(|name| {
            let other: Vec<char> = name.chars().take(64).collect();
            let distance = distance(&typed, &other);
            let holds = typed.len() >= 3 && contains(&other, &typed);
            (distance <= limit || holds).then_some((if holds { distance.min(limit) } else { distance }, name))
        })
        .collect();
    found.sort();
    found.dedup_by_key(|(_, name)| *name);
    found.into_iter().take(TOLD).map(|(_, name)| name.to_owned()).collect()
}

fn contains(whole: &[char], part: &[char]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

/// How many letters have to be changed, added or left out.
pub fn distance(one: &[char], other: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.iter().enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (b, cell) in other.iter().zip(row.iter_mut().skip(1)) {
            let cost = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = cost.min(left + 1).min(*cell + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_best_first() {
        let names = ["hello_world", "hello_word", "order_confirmed", "bye"];
        assert_eq!(nearest("helo_world", names), ["hello_world", "hello_word"]);
        assert_eq!(nearest("hello-world", names), ["hello_world", "hello_word"]);
        assert_eq!(nearest("hello_world is ours", names), ["hello_world", "hello_word"]);
        assert_eq!(nearest("order", names), ["order_confirmed"]);
        assert_eq!(nearest("zzz", names), Vec::<String>::new());
        assert_eq!(nearest("", names), Vec::<String>::new());
    }

    #[test]
    fn the_distance_is_counted_in_letters() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        for (one, other, count) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("имя", "имена", 3)]
        {
            assert_eq!(distance(&chars(one), &chars(other)), count);
        }
    }
}
