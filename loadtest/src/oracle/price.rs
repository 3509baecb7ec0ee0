//! Money: prices and budgets, in billionths of the currency. One currency is all that a policy has.

/// What the tokens of a model cost, in billionths of the currency for one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// Of a prompt token.
    pub prompt: u64,
    /// Of a completion token.
    pub completion: u64,
}

impl Price {
    /// Reads a price `per` so many tokens; None if it is not one, or not in whole billionths.
    pub fn read(prompt: &str, completion: &str, per: &str) -> Option<Price> {
        let lot = match per {
            "1k" => 1_000,
            "1M" => 1_000_000,
            _ => return None,
        };
        let each = |text| billionths(text).filter(|amount| amount % lot == 0).map(|amount| amount / lot);
        Some(Price { prompt: each(prompt)?, completion: each(completion)? })
    }

    /// Of so many tokens; saturates.
    pub fn of(self, prompt: u64, completion: u64) -> u64 {
        self.prompt.saturating_mul(prompt).saturating_add(self.completion.saturating_mul(completion))
    }
}

/// `100 CNY/month`, `0.5 CNY/day`: the amount.
pub fn budget(text: &str) -> Option<u64> {
    let (amount, period) = text.split_once('/')?;
    let (number, currency) = amount.trim().split_once(' ')?;
    let is_currency = currency.trim().len() == 3 && currency.trim().bytes().all(|b| b.is_ascii_uppercase());
    let is_period = matches!(period.trim(), "day" | "month");
    billionths(number).filter(|&amount| is_currency && is_period && amount > 0)
}

/// A decimal of at most nine places.
fn billionths(text: &str) -> Option<u64> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 9 || !are_digits(whole) || !are_digits(part) {
        return None;
    }
    let part: u64 = format!("{part:0<9}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_exactly_or_not_at_all() {
        assert_eq!(budget("3000 CNY/month"), Some(3_000_000_000_000));
        assert_eq!(budget("0.5 CNY / day"), Some(500_000_000));
        for not_money in
            ["3000/month", "3 CNY/h", "3 yuan/day", "0 CNY/day", "1.0000000001 CNY/day", "-1 CNY/day"]
        {
            assert_eq!(budget(not_money), None, "{not_money}");
        }
        let price = Price::read("0.008", "0.02", "1k").unwrap();
        assert_eq!(price, Price { prompt: 8_000, completion: 20_000 });
        assert_eq!(price.of(3, 2), 64_000);
        assert_eq!(Price::read("0.0000001", "1", "1M"), None, "less than a billionth for a token");
        assert_eq!(Price::read("1", "1", "1"), None);
    }
}
