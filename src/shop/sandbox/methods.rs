//! Stripe's names of test payment methods, and what each of them does.

/// What a test card does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TestCard {
    /// The charge succeeds.
    Pays,
    /// The charge is declined, with Stripe's decline code.
    Declines(&'static str),
}

/// Every method that this provider knows. Stripe writes some of them with the prefix `visa_` or without, so
/// both are here.
const METHODS: [(&str, TestCard); 32] = [
    ("pm_card_visa", TestCard::Pays),
    ("pm_card_visa_debit", TestCard::Pays),
    ("pm_card_mastercard", TestCard::Pays),
    ("pm_card_mastercard_debit", TestCard::Pays),
    ("pm_card_mastercard_prepaid", TestCard::Pays),
    ("pm_card_amex", TestCard::Pays),
    ("pm_card_discover", TestCard::Pays),
    ("pm_card_diners", TestCard::Pays),
    ("pm_card_jcb", TestCard::Pays),
    ("pm_card_unionpay", TestCard::Pays),
    ("pm_card_us", TestCard::Pays),
    ("pm_card_chargeDeclined", TestCard::Declines("card_declined")),
    ("pm_card_visa_chargeDeclined", TestCard::Declines("card_declined")),
    (
        "pm_card_chargeDeclinedInsufficientFunds",
        TestCard::Declines("insufficient_funds"),
    ),
    (
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        TestCard::Declines("insufficient_funds"),
    ),
    ("pm_card_chargeDeclinedLostCard", TestCard::Declines("lost_card")),
    (
        "pm_card_visa_chargeDeclinedLostCard",
        TestCard::Declines("lost_card"),
    ),
    (
        "pm_card_chargeDeclinedStolenCard",
        TestCard::Declines("stolen_card"),
    ),
    (
        "pm_card_visa_chargeDeclinedStolenCard",
        TestCard::Declines("stolen_card"),
    ),
    (
        "pm_card_chargeDeclinedExpiredCard",
        TestCard::Declines("expired_card"),
    ),
    (
        "pm_card_visa_chargeDeclinedExpiredCard",
        TestCard::Declines("expired_card"),
    ),
    (
        "pm_card_chargeDeclinedIncorrectCvc",
        TestCard::Declines("incorrect_cvc"),
    ),
    (
        "pm_card_visa_chargeDeclinedIncorrectCvc",
        TestCard::Declines("incorrect_cvc"),
    ),
    (
        "pm_card_chargeDeclinedProcessingError",
        TestCard::Declines("processing_error"),
    ),
    (
        "pm_card_visa_chargeDeclinedProcessingError",
        TestCard::Declines("processing_error"),
    ),
    (
        "pm_card_chargeDeclinedVelocityLimitExceeded",
        TestCard::Declines("card_velocity_exceeded"),
    ),
    (
        "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
        TestCard::Declines("card_velocity_exceeded"),
    ),
    (
        "pm_card_chargeDeclinedFraudulent",
        TestCard::Declines("fraudulent"),
    ),
    ("pm_card_radarBlock", TestCard::Declines("fraudulent")),
    ("pm_card_riskLevelHighest", TestCard::Declines("fraudulent")),
    ("pm_card_cvcCheckFail", TestCard::Declines("incorrect_cvc")),
    ("pm_card_chargeCustomerFail", TestCard::Declines("card_declined")),
];

/// What the method with that name does; `None` when there is no such method.
pub(super) fn card(method: &str) -> Option<TestCard> {
    METHODS
        .iter()
        .find(|(name, _)| *name == method)
        .map(|(_, card)| *card)
}

/// The message for a decline code.
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
        assert_eq!(card("pm_card_visa"), Some(TestCard::Pays));
        assert_eq!(
            card("pm_card_chargeDeclined"),
            Some(TestCard::Declines("card_declined"))
        );
        assert_eq!(
            card("pm_card_chargeDeclinedInsufficientFunds"),
            Some(TestCard::Declines("insufficient_funds"))
        );
        assert_eq!(card("pm_card_wrokers"), None);
    }
}
