//! What customers of an invented web shop write, and what the shop answers.
//!
//! Patterns are read by [`super::grammar`]. The last two messages of each intent never occur in the labelled training
//! set: a fifth of the test set is made of them, so that it asks for more than known phrases. The answers are seen only
//! in pre-training, where they teach the model what a message is about before it ever sees a label.

/// One thing a customer may want.
#[derive(Clone, Copy)]
pub struct Intent {
    /// The label.
    pub name: &'static str,
    pub messages: &'static [&'static str],
    pub replies: &'static [&'static str],
}

/// Messages of each intent that only the test set and the unlabelled corpus have.
pub const HELD_OUT: usize = 2;

pub const OPENINGS: &[&str] = &[
    "",
    "",
    "",
    "",
    "(Hi|Hello|Hey)(,| there,| team,)",
    "Good (morning|afternoon|evening).",
    "Dear (support|team|shop),",
    "(Quick|Short) question:",
    "(Sorry to bother you, but|I hope you can help:)",
    "Second time I am writing.",
    "I bought a {product} from you.",
    "It is about order {number}.",
    "Order {number}:",
];

pub const CLOSINGS: &[&str] = &[
    "",
    "",
    "",
    "",
    "(Thanks|Thank you|Cheers)(!|.)",
    "Thanks in advance.",
    "Please (reply|answer) (soon|today).",
    "(Kind|Best) regards",
    "I would be grateful for a quick answer.",
    "This is (urgent|really annoying).",
    "My order number is {number}.",
    "I live in {city}, if that matters.",
];

pub const INTENTS: &[Intent] = &[
    Intent {
        name: "cancel_order",
        messages: &[
            "I (want|would like|need) to cancel (my order|order {number}|the {product} I ordered).",
            "(Please|Could you please) cancel (my|the) order (from {day}|{number}|).",
            "I ordered (a|the wrong) {product} by mistake, (please stop the order|cancel it please).",
            "How (can|do) I cancel an order that (has not shipped|is still being packed)?",
            "(Is it|Is it still) possible to cancel order {number}?",
            "I changed my mind about the {product}, do not send it (please|).",
            "I (found|got) the {product} (cheaper elsewhere|as a gift), so cancel my purchase (please|).",
            "Stop order {number} (before it ships|please), I (no longer|do not) need it.",
            "(Can|Could) you call off the {product} I bought {day}?",
            "I clicked buy twice, (please undo one of the orders|one order has to go).",
        ],
        replies: &[
            "Your order {number} has been cancelled and nothing will be charged.",
            "We have cancelled the {product}; a confirmation is on its way.",
            "The order can no longer be cancelled because it has left our warehouse.",
        ],
    },
    Intent {
        name: "change_address",
        messages: &[
            "I (need|want) to change (the|my) (delivery|shipping) address (for order {number}|).",
            "(Please|Can you) send order {number} to {street} in {city} instead.",
            "I moved to {city}, (how do I update my address|please update my address)?",
            "I (entered|typed) the wrong (street|house number|postcode) (when ordering|at checkout).",
            "The address on (my order|order {number}) is (wrong|not up to date).",
            "Can the {product} go to (my office|my neighbour|a pickup point) instead of my home?",
            "Is it possible to ship to a different address than (the one I gave|my old one)?",
            "My new address is {street}, {city}. Please correct (the order|it).",
            "We are moving house {day}, (where|how) do I tell you the new place to deliver to?",
            "Wrong street! It should be {street}(, not the old one|).",
        ],
        replies: &[
            "We have changed the delivery address to {street}, {city}.",
            "The new address is saved; your parcel will go to {city}.",
            "The parcel is on the road, so please ask the carrier to redirect it.",
        ],
    },
    Intent {
        name: "damaged_item",
        messages: &[
            "The {product} (arrived|came) (broken|damaged|with a crack).",
            "My {product} (has|had) a (scratch|dent|hole|crack) (when I opened the box|).",
            "I (received|got) a (broken|damaged|smashed) {product}, (what now|what can I do)?",
            "The box was (crushed|wet|torn) and the {product} inside is (broken|ruined).",
            "The {product} stopped working after {span}.",
            "The {product} does not (turn on|work) at all, it is (faulty|defective).",
            "There is a (crack|tear|stain) in the {product} you sent (me|).",
            "(One part|The handle|The lid) of the {product} was (broken|snapped off) on arrival.",
            "My new {product} fell to pieces (the first time I used it|after {span}).",
            "Opened the parcel and found (shards|the {product} in two pieces).",
        ],
        replies: &[
            "We are sorry that the {product} was damaged; a replacement is on its way.",
            "Please send us a photo of the damage so that we can replace the {product}.",
            "A faulty {product} is covered by the warranty and we will repair it.",
        ],
    },
    Intent {
        name: "delivery_time",
        messages: &[
            "When will (my order|order {number}|my {product}) (arrive|be delivered)?",
            "Where is my (parcel|package|order)? (It was due {day}.|)",
            "I have been waiting for {span} (and nothing came|for my {product}).",
            "My order (is late|has not arrived yet|still has not come).",
            "How long does (delivery|shipping) to {city} take?",
            "The tracking (page|number) (shows nothing|has not moved for {span}).",
            "(Can|Could) you tell me the status of (the delivery|my parcel {number})?",
            "You promised delivery by {day} but (there is no parcel|nothing has come).",
            "Any news on the {product}? I (expected|hoped to have) it {day}.",
            "The courier (never showed up|did not ring), (when will he come again|when is the next attempt)?",
        ],
        replies: &[
            "Your parcel is on its way and should arrive by {day}.",
            "Delivery to {city} usually takes {span}.",
            "The carrier reports a delay; your {product} will arrive soon.",
        ],
    },
    Intent {
        name: "discount_code",
        messages: &[
            "My (discount|voucher|promo) code {code} (does not work|is not accepted).",
            "(Do you have|Is there) a (discount|voucher) for (students|new customers|large orders)?",
            "How do I (use|redeem|enter) (the code {code}|a gift card|my voucher)?",
            "I forgot to enter (the|my) code {code} (at checkout|), can you still apply it?",
            "The code {code} (says it has expired|took nothing off the price).",
            "Can I (combine|use) two (vouchers|discount codes) on one order?",
            "The (sale|reduced) price of the {product} was not applied (in my basket|).",
            "I was promised (10|15|20) percent off with {code} but paid the full price.",
            "Where do I type in {code}? (I see no box for it.|)",
            "Any (coupon|special offer) for the {product} (in {month}|right now)?",
        ],
        replies: &[
            "The code {code} is valid until the end of {month}.",
            "We have applied the discount and refunded {amount}.",
            "Only one voucher can be used for each order.",
        ],
    },
    Intent {
        name: "invoice_request",
        messages: &[
            "(Can|Could) you send me (the|an) invoice for order {number}?",
            "I need (an invoice|a receipt) with (the VAT number|my company name) (on it|).",
            "Where can I (download|find) the (invoice|receipt) (for my {product}|)?",
            "There was no (invoice|bill|receipt) in the (box|parcel|package).",
            "My (accountant|employer|tax office) needs a (copy of the bill|proper invoice).",
            "The name on (my|the) invoice is wrong, please (correct it|issue a new one).",
            "Please (email|mail) me (a PDF of the|the) invoice (from {month}|).",
            "I (lost|deleted) the receipt for the {product}, can I get (another|a copy)?",
            "For our books I require (proof of purchase|the paperwork) for {number}.",
            "Could the bill be made out to my (company|firm) in {city}?",
        ],
        replies: &[
            "The invoice for order {number} is attached as a PDF.",
            "You can download every invoice in your account under orders.",
            "We have issued a corrected invoice with your company name.",
        ],
    },
    Intent {
        name: "login_problem",
        messages: &[
            "I (cannot|can not|can't) log in to my account (any more|).",
            "I forgot my password and the reset (email|link) (never comes|does not work).",
            "My account (is|has been) (locked|blocked) after (three|too many) attempts.",
            "The (website|app) says (wrong password|unknown user) but (it is correct|I am sure of it).",
            "How do I (reset|change) my password?",
            "I do not get the (verification|security) code (on my phone|by text message).",
            "(I want|I need) to change the email address (of|I use for) my account.",
            "The sign in page (keeps loading|shows an error) (since {day}|).",
            "Locked out (again|), (the password is not taken|nothing I type is accepted).",
            "My phone is new and (the login code|the code to sign in) goes to the old one.",
        ],
        replies: &[
            "We have unlocked your account; please choose a new password.",
            "A new link to reset your password is in your inbox.",
            "Please sign in with the email address that we have on file.",
        ],
    },
    Intent {
        name: "missing_item",
        messages: &[
            "(The|My) parcel came without the {product}.",
            "I ordered (two|three|four) of the {product} and (got|received) only one.",
            "One (item|thing|article) is missing from (my order|order {number}).",
            "The {product} is (incomplete|missing a part), the (screws|cable|manual) (is|are) not in the box.",
            "You sent me (a|the wrong thing: a) {product} instead of a {product}.",
            "I got (the wrong|someone else's) (order|parcel|item).",
            "The {product} I received is {colour} but I ordered {colour}.",
            "Half of (order {number}|my order) (is missing|was not in the package).",
            "Opened the box: no {product} (anywhere|inside), only (paper|the {product}).",
            "This is not what I ordered, (it is a {product}|I wanted {size}).",
        ],
        replies: &[
            "We are sorry that an item was missing; the {product} ships today.",
            "You received the wrong item, so we will send the right one at once.",
            "The rest of order {number} travels in a second parcel.",
        ],
    },
    Intent {
        name: "payment_failed",
        messages: &[
            "My (card|credit card|payment) (was declined|was refused|does not go through).",
            "I was charged twice for (order {number}|the {product}|the same order).",
            "The payment (page|form) (crashes|shows an error|hangs) (when I click pay|).",
            "(The money|{amount}) left my account but (there is no order|I got no confirmation).",
            "Can I pay (by bank transfer|in instalments|on delivery|with a debit card)?",
            "Why (is|was) {amount} taken from my (bank account|card)?",
            "My bank says (the transfer was fine|all is well) but you say it is unpaid.",
            "Paying with (PayPal|my card|the app) fails every time.",
            "Checkout refuses my Visa (since {day}|), the card itself is fine.",
            "There is a charge of {amount} (too much|I do not recognise) on my statement.",
        ],
        replies: &[
            "The payment of {amount} was declined by your bank.",
            "The second charge of {amount} was a reservation and will disappear.",
            "You can pay by card or by bank transfer.",
        ],
    },
    Intent {
        name: "product_availability",
        messages: &[
            "(Is|Are) the {product} (available|in stock) in {colour}?",
            "When will the {product} be (back in stock|available again)?",
            "Do you (have|sell) the {product} in {size}?",
            "The {product} is sold out, (will you get more|when can I order it)?",
            "Which (sizes|colours) does the {product} come in?",
            "Can I (reserve|pre-order) the {product} (in {colour}|)?",
            "I am looking for a {product} in {colour}, (do you have one|I could not find it on your site).",
            "Will the {colour} {product} return (in {month}|this year)?",
            "(Do|Does) your shop in {city} still have any {product} left?",
            "Could you let me know (as soon as|once) there are new {product} (in {size}|)?",
        ],
        replies: &[
            "The {product} will be back in stock in {month}.",
            "Yes, the {product} is available in {colour} and in {size}.",
            "The {product} is no longer made, but a similar one is in stock.",
        ],
    },
    Intent {
        name: "refund_status",
        messages: &[
            "When (will I|do I) get my (money back|refund)?",
            "I returned the {product} {span} ago and (still have no refund|have not got my money).",
            "(Where is|What about) my refund (of {amount}|for order {number})?",
            "You (confirmed|promised) a refund {day} but nothing (arrived|is on my account).",
            "I was refunded (only {amount}|too little) (for the {product}|).",
            "How long does a refund take (to reach my bank|)?",
            "The refund went to (an old card|the wrong account).",
            "Has the refund for {number} been (sent|processed) (yet|)?",
            "You have had my {product} back for {span}, so pay me (back|what you owe).",
            "Still waiting for the {amount} you owe me (since {day}|).",
        ],
        replies: &[
            "Your refund of {amount} was sent {day} and takes {span}.",
            "We have received the {product} and will refund {amount} today.",
            "The refund goes back to the card you paid with.",
        ],
    },
    Intent {
        name: "return_item",
        messages: &[
            "I (want|would like) to (return|send back) (the|my) {product}.",
            "How (do|can) I (return|send back) (an item|something) (I do not like|that does not fit)?",
            "The {product} is too (small|big|heavy), can I (exchange|return) it?",
            "(Where do I find|Please send me) a return (label|form) (for order {number}|).",
            "Who pays the postage if I send the {product} back?",
            "How many days do I have to (return|send back) (the {product}|an order)?",
            "Can I (exchange|swap) the {product} for (a {colour} one|{size})?",
            "I do not like the {product}, (what is your return policy|can I bring it back to a shop)?",
            "The {product} (does not suit me|is not my style), where (should I post it|do I bring it)?",
            "Is a used {product} still (accepted|taken back) after {span}?",
        ],
        replies: &[
            "You can return the {product} within thirty days; the label is attached.",
            "Please print the return label and take the parcel to a post office.",
            "We will exchange the {product} as soon as the return arrives.",
        ],
    },
];
