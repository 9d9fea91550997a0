//! Stripe's names of test payment methods, and what each does. A table.

/// What a card does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Card {
    /// Pays.
    Pays,
    /// Declines, with Stripe's decline code.
    Declines(&'static str),
}

/// Every method this provider knows. Stripe writes some with a prefix of `Visa`, so both are here.
const METHODS: [(&str, Card); 32] = [
    ("pm_card_visa", Card::Pays),
    ("pm_card_visa_debit", Card::Pays),
    ("pm_card_mastercard", Card::Pays),
    ("pm_card_mastercard_debit", Card::Pays),
    ("pm_card_mastercard_prepaid", Card::Pays),
    ("pm_card_amex", Card::Pays),
    ("pm_card_discover", Card::Pays),
    ("pm_card_diners", Card::Pays),
    ("pm_card_jcb", Card::Pays),
    ("pm_card_unionpay", Card::Pays),
    ("pm_card_us", Card::Pays),
    ("pm_card_chargeDeclined", Card::Declines("card_declined")),
    ("pm_card_visa_chargeDeclined", Card::Declines("card_declined")),
    (
        "pm_card_chargeDeclinedInsufficientFunds",
        Card::Declines("insufficient_funds"),
    ),
    (
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        Card::Declines("insufficient_funds"),
    ),
    ("pm_card_chargeDeclinedLostCard", Card::Declines("lost_card")),
    ("pm_card_visa_chargeDeclinedLostCard", Card::Declines("lost_card")),
    ("pm_card_chargeDeclinedStolenCard", Card::Declines("stolen_card")),
    (
        "pm_card_visa_chargeDeclinedStolenCard",
        Card::Declines("stolen_card"),
    ),
    (
        "pm_card_chargeDeclinedExpiredCard",
        Card::Declines("expired_card"),
    ),
    (
        "pm_card_visa_chargeDeclinedExpiredCard",
        Card::Declines("expired_card"),
    ),
    (
        "pm_card_chargeDeclinedIncorrectCvc",
        Card::Declines("incorrect_cvc"),
    ),
    (
        "pm_card_visa_chargeDeclinedIncorrectCvc",
        Card::Declines("incorrect_cvc"),
    ),
    (
        "pm_card_chargeDeclinedProcessingError",
        Card::Declines("processing_error"),
    ),
    (
        "pm_card_visa_chargeDeclinedProcessingError",
        Card::Declines("processing_error"),
    ),
    (
        "pm_card_chargeDeclinedVelocityLimitExceeded",
        Card::Declines("card_velocity_exceeded"),
    ),
    (
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        Card::Declines("card_velocity_exceeded"),
    ),
    ("pm_card_chargeDeclinedFraudulent", Card::Declines("fraudulent")),
    ("pm_card_radarBlock", Card::Declines("fraudulent")),
    ("pm_card_riskLevelHighest", Card::Declines("fraudulent")),
    ("pm_card_cvcCheckFail", Card::Declines("incorrect_cvc")),
    ("pm_card_chargeCustomerFail", Card::Declines("card_declined")),
];

/// What the method of that name does, if there is one.
pub(super) fn card(method: &str) -> Option<Card> {
    METHODS
        .iter()
        .find(|(name, _)| *name == method)
        .map(|(_, card)| *card)
}

/// A decline code in words.
pub(super) fn says(code: &str) -> String {
    match code {
        "card_declined" => "the card was declined".to_owned(),
        "insufficient_funds" => "the card has insufficient funds".to_owned(),
        code => format!("the card was declined: {}", code.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_means_two_things() {
        for (at, (name, _)) in METHODS.iter().enumerate() {
            assert!(
                METHODS[..at].iter().all(|(other, _)| other != name),
                "{name} twice"
            );
        }
    }

    #[test]
    fn stripes_names_do_what_stripe_says() {
        assert_eq!(card("pm_card_visa"), Some(Card::Pays));
        assert_eq!(
            card("pm_card_chargeDeclined"),
            Some(Card::Declines("card_declined"))
        );
        assert_eq!(
            card("pm_card_chargeDeclinedInsufficientFunds"),
            Some(Card::Declines("insufficient_funds"))
        );
        assert_eq!(card("pm_card_wrokers"), None);
    }
}
