//! What of an order goes into the state's digest.

use super::orders::Order;

/// Feeds an order to `hash`.
pub fn order(order: &Order, hash: &mut impl FnMut(&[u8])) {
    let terms = &order.terms;
    hash(&order.order_id.0.to_le_bytes());
    hash(&order.command_id.0.to_le_bytes());
    for index in [order.client, terms.account.0, terms.instrument.0] {
        hash(&index.to_le_bytes());
    }
    let small = [
        terms.side as u8,
        terms.order_type as u8,
        terms.time_in_force as u8,
        u8::from(terms.reduce_only),
        order.status as u8,
        u8::from(order.cancel_pending),
        u8::from(order.replace_pending.is_some()),
    ];
    hash(&small);
    let totals =
        order.replace_pending.map_or([0; 3], |t| [t.quantity_steps, t.price_ticks, t.stop_price_ticks]);
    let numbers = [
        terms.quantity_steps,
        terms.price_ticks,
        terms.stop_price_ticks,
        terms.stop_loss_ticks,
        terms.take_profit_ticks,
        terms.value_ticks,
        order.filled_steps,
    ];
    numbers.iter().chain(&totals).for_each(|number| hash(&number.to_le_bytes()));
    for number in [terms.expire_at_ns, terms.position_ticket, order.venue_order_id, order.cancel_sequence] {
        hash(&number.to_le_bytes());
    }
}
