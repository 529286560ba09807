//! The portal's edge: REST out, events in. Knows nothing of WhatsApp.
