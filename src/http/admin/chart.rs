//! The messages and calls of a day as a small picture: three bars for each hour.

const WIDTH: f64 = 720.0;
const FLOOR: f64 = 98.0;

/// Bars, as the template draws them.
pub(super) struct Chart {
    pub(super) bars: Vec<Bar>,
    pub(super) ticks: Vec<(String, String)>,
    pub(super) top: i64,
    pub(super) inbound: i64,
    pub(super) outbound: i64,
    pub(super) calls: i64,
}

/// One bar: numbers ready for the markup.
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) x: String,
    pub(super) y: String,
    pub(super) width: String,
    pub(super) height: String,
    pub(super) title: String,
}

/// Draws counts of hours (messages in, messages out, calls), the oldest first. `hours_ago`: how many hours ago
/// something was, in words.
pub(super) fn draw(counts: &[[i64; 3]], hours_ago: impl Fn(i64) -> String) -> Chart {
    let top = counts.iter().flatten().copied().max().unwrap_or(0).max(1);
    let slot = WIDTH / f64::from(u32::try_from(counts.len().max(1)).unwrap_or(1));
    let hours = i64::try_from(counts.len()).unwrap_or(0);
    let (mut bars, mut ticks) = (Vec::new(), Vec::new());
    for (index, [inbound, outbound, calls]) in (0_i32..).zip(counts) {
        let x = f64::from(index) * slot;
        let ago = hours - i64::from(index);
        for (offset, class, count) in [(0.0, "in", *inbound), (0.3, "out", *outbound), (0.6, "call", *calls)]
        {
            let height = share(count, top) * (FLOOR - 8.0);
            if count > 0 {
                bars.push(Bar {
                    class,
                    x: format!("{:.1}", x + slot * (0.06 + offset)),
                    y: format!("{:.1}", FLOOR - height),
                    width: format!("{:.1}", slot * 0.27),
                    height: format!("{height:.1}"),
                    title: format!("{}: {count}", hours_ago(ago)),
                });
            }
        }
        if index % 6 == 0 {
            ticks.push((format!("{x:.1}"), hours_ago(ago)));
        }
    }
    Chart {
        bars,
        ticks,
        top,
        inbound: counts.iter().map(|[inbound, _, _]| inbound).sum(),
        outbound: counts.iter().map(|[_, outbound, _]| outbound).sum(),
        calls: counts.iter().map(|[_, _, calls]| calls).sum(),
    }
}

/// A part of the whole, never too small to be seen.
fn share(count: i64, top: i64) -> f64 {
    let (count, top) = (i32::try_from(count).unwrap_or(i32::MAX), i32::try_from(top).unwrap_or(i32::MAX));
    (f64::from(count) / f64::from(top)).max(0.03)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_reaches_the_top_and_empty_hours_have_none() {
        let chart = draw(&[[0, 0, 0], [4, 2, 1]], |hours| format!("−{hours} h"));
        assert_eq!(
            (chart.top, chart.inbound, chart.outbound, chart.calls, chart.bars.len()),
            (4, 4, 2, 1, 3)
        );
        assert_eq!(chart.bars[0].height, "90.0");
        assert_eq!(chart.bars[0].title, "−1 h: 4");
        assert_eq!(chart.ticks, [("0.0".to_owned(), "−2 h".to_owned())]);
        assert_eq!(draw(&[], |_| String::new()).bars.len(), 0);
    }
}
