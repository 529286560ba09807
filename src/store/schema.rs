//! The tables as diesel sees them; kept equal to `migrations/` by a test that reads each of them.

use diesel::table;

table! {
    vault_checks (name) {
        name -> Text,
        sealed -> Text,
    }
}

table! {
    apps (id) {
        id -> Text,
        name -> Text,
        site -> Text,
        client_id -> Text,
        client_secret_sealed -> Text,
        second_secret_sealed -> Nullable<Text>,
        access_token_sealed -> Text,
        verify_token_sealed -> Text,
        api_key -> Text,
        graph_version -> Nullable<Text>,
        save_events -> Bool,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

table! {
    wabas (id) {
        id -> Text,
        app_id -> Text,
        waba_id -> Text,
        access_token_sealed -> Nullable<Text>,
        name -> Text,
        subscribed -> Bool,
        status -> Text,
        status_reason -> Nullable<Text>,
        portfolio -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

table! {
    phones (id) {
        id -> Text,
        waba_key -> Text,
        phone_number -> Text,
        phone_number_id -> Text,
        display_name -> Text,
        status -> Nullable<Text>,
        quality -> Nullable<Text>,
        messaging_limit -> Nullable<Text>,
        name_status -> Nullable<Text>,
        security_note -> Nullable<Text>,
        sms_service -> Bool,
        read_receipts -> Bool,
        system_messages -> Text,
        signature -> Text,
        closed_window -> Text,
        fallback_template -> Nullable<Text>,
        default_language -> Nullable<Text>,
        sms_to_chat -> Bool,
        crm_user_id -> Nullable<Text>,
        stop_words -> Text,
        sms_code -> Nullable<Text>,
        chat_names -> Text,
        profile -> Nullable<Text>,
        throughput -> Nullable<Text>,
        on_business_app -> Bool,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

table! {
    portal_apps (id) {
        id -> Text,
        name -> Text,
        client_id -> Text,
        client_secret_sealed -> Text,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

table! {
    portals (id) {
        id -> Text,
        member_id -> Text,
        portal_app_id -> Text,
        domain -> Text,
        client_endpoint -> Text,
        server_endpoint -> Text,
        access_token_sealed -> Text,
        access_expires_at -> Timestamp,
        refresh_token_sealed -> Text,
        application_token_sealed -> Nullable<Text>,
        sms_secret_sealed -> Text,
        user_id -> Text,
        scopes -> Text,
        status -> Text,
        status_reason -> Nullable<Text>,
        language -> Text,
        default_country -> Nullable<Text>,
        region -> Nullable<Text>,
        alarm_user_id -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

table! {
    line_bindings (id) {
        id -> Text,
        phone_id -> Text,
        portal_id -> Text,
        line_id -> Text,
        line_name -> Text,
        created_at -> Timestamp,
    }
}

table! {
    contacts (id) {
        id -> Text,
        waba_key -> Text,
        name -> Text,
        username -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

table! {
    contact_aliases (waba_key, kind, value) {
        waba_key -> Text,
        kind -> Text,
        value -> Text,
        contact_id -> Text,
        created_at -> Timestamp,
    }
}

table! {
    chats (id) {
        id -> Text,
        contact_id -> Text,
        phone_id -> Text,
        portal_user -> Nullable<Text>,
        portal_line -> Nullable<Text>,
        portal_chat_id -> Nullable<Text>,
        known_as -> Nullable<Text>,
        last_inbound_at -> Nullable<Timestamp>,
        last_inbound_wamid -> Nullable<Text>,
        window_until -> Nullable<Timestamp>,
        window_closed -> Bool,
        marketing_stopped -> Bool,
        created_at -> Timestamp,
    }
}

table! {
    messages (id) {
        id -> Text,
        chat_id -> Text,
        phone_id -> Text,
        direction -> Text,
        kind -> Text,
        wamid -> Nullable<Text>,
        portal_id -> Nullable<Text>,
        im_chat_id -> Nullable<Text>,
        im_message_id -> Nullable<Text>,
        part -> Integer,
        state -> Text,
        body -> Text,
        payload -> Text,
        blob_id -> Nullable<Text>,
        media_state -> Nullable<Text>,
        job_id -> Nullable<Text>,
        send_started -> Bool,
        maybe_twice -> Bool,
        error_code -> Nullable<Integer>,
        error_text -> Nullable<Text>,
        created_at -> Timestamp,
        relayed_at -> Nullable<Timestamp>,
        accepted_at -> Nullable<Timestamp>,
        sent_at -> Nullable<Timestamp>,
        delivered_at -> Nullable<Timestamp>,
        read_at -> Nullable<Timestamp>,
        failed_at -> Nullable<Timestamp>,
        repeats -> Integer,
        changes -> Nullable<Text>,
        line_parts -> Integer,
    }
}

table! {
    parked_statuses (id) {
        id -> Text,
        phone_id -> Text,
        wamid -> Text,
        payload -> Text,
        created_at -> Timestamp,
    }
}

table! {
    jobs (id) {
        id -> Text,
        kind -> Text,
        queue -> Text,
        lane -> Text,
        lane_seq -> BigInt,
        dedupe_key -> Nullable<Text>,
        state -> Text,
        payload -> Text,
        message_id -> Nullable<Text>,
        attempts -> Integer,
        doubtful -> Bool,
        maybe_twice -> Bool,
        not_before -> Nullable<Timestamp>,
        lease_id -> Nullable<Text>,
        lease_until -> Nullable<Timestamp>,
        last_error -> Nullable<Text>,
        created_at -> Timestamp,
        finished_at -> Nullable<Timestamp>,
        troubled_since -> Nullable<Timestamp>,
    }
}

table! {
    expected_echoes (id) {
        id -> Text,
        chat_id -> Text,
        text_hash -> Text,
        created_at -> Timestamp,
    }
}

table! {
    events (id) {
        id -> Text,
        app_id -> Nullable<Text>,
        portal_id -> Nullable<Text>,
        field -> Text,
        reason -> Text,
        payload -> Text,
        created_at -> Timestamp,
    }
}

table! {
    blobs (id) {
        id -> Text,
        sha256 -> Text,
        mime -> Text,
        name -> Text,
        size -> BigInt,
        created_at -> Timestamp,
    }
}

table! {
    media_links (token_hash) {
        token_hash -> Text,
        blob_id -> Text,
        expires_at -> Nullable<Timestamp>,
        revoked -> Bool,
        created_at -> Timestamp,
    }
}

table! {
    sms_requests (id) {
        id -> Text,
        portal_id -> Text,
        message_id -> Text,
        code -> Text,
        phone_id -> Nullable<Text>,
        chat_id -> Nullable<Text>,
        recipient -> Text,
        number -> Nullable<Text>,
        body -> Text,
        author -> Nullable<Text>,
        owners -> Text,
        job_id -> Nullable<Text>,
        state -> Text,
        reported -> Nullable<Text>,
        reason -> Nullable<Text>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

table! {
    api_tokens (id) {
        id -> Text,
        name -> Text,
        token_hash -> Text,
        role -> Text,
        expires_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
    }
}

table! {
    templates (id) {
        id -> Text,
        waba_key -> Text,
        meta_id -> Text,
        name -> Text,
        language -> Text,
        status -> Text,
        reason -> Nullable<Text>,
        category -> Text,
        next_category -> Nullable<Text>,
        quality -> Nullable<Text>,
        parameter_format -> Text,
        components -> Text,
        synced_at -> Timestamp,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        moved_from -> Nullable<Text>,
        moved_at -> Nullable<Timestamp>,
    }
}

table! {
    template_changes (id) {
        id -> Text,
        waba_key -> Text,
        meta_id -> Nullable<Text>,
        at -> Timestamp,
    }
}

table! {
    template_syncs (waba_key) {
        waba_key -> Text,
        tried_at -> Timestamp,
        synced_at -> Nullable<Timestamp>,
        error -> Nullable<Text>,
        wanted -> Bool,
    }
}

table! {
    limit_uses (portfolio, person) {
        portfolio -> Text,
        person -> Text,
        used_at -> Timestamp,
    }
}

table! {
    uploaded_media (phone_id, sha256, mime) {
        phone_id -> Text,
        sha256 -> Text,
        mime -> Text,
        media_id -> Text,
        uploaded_at -> Timestamp,
    }
}

table! {
    held_messages (id) {
        id -> Text,
        chat_id -> Text,
        phone_id -> Text,
        portal_id -> Text,
        im_message_id -> Text,
        item -> Text,
        body -> Text,
        created_at -> Timestamp,
        expires_at -> Timestamp,
    }
}

table! {
    phone_calling (phone_id) {
        phone_id -> Text,
        status -> Text,
        sip_status -> Text,
        hostname -> Nullable<Text>,
        port -> Integer,
        keying -> Text,
        webhook_delivery -> Text,
        trunk -> Nullable<Text>,
        extension -> Nullable<Text>,
        edge -> Text,
        tgrp -> Nullable<Text>,
        crm_create -> Bool,
        sip_password_sealed -> Nullable<Text>,
        meta -> Nullable<Text>,
        error_code -> Nullable<BigInt>,
        error_title -> Nullable<Text>,
        error_explanation -> Nullable<Text>,
        checked_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

table! {
    administrators (id) {
        id -> Text,
        name -> Text,
        name_key -> Text,
        password_hash -> Text,
        role -> Text,
        language -> Text,
        created_at -> Timestamp,
        updated_at -> Timestamp,
    }
}

table! {
    calls (id) {
        id -> Text,
        phone_id -> Nullable<Text>,
        contact_id -> Nullable<Text>,
        chat_id -> Nullable<Text>,
        direction -> Text,
        state -> Text,
        wacid -> Nullable<Text>,
        sip_call_id -> Nullable<Text>,
        trunk -> Nullable<Text>,
        target -> Nullable<Text>,
        agent -> Nullable<Text>,
        peer_digits -> Nullable<Text>,
        peer_user_id -> Nullable<Text>,
        peer_name -> Nullable<Text>,
        payload -> Nullable<Text>,
        created_at -> Timestamp,
        ringing_at -> Nullable<Timestamp>,
        answered_at -> Nullable<Timestamp>,
        ended_at -> Nullable<Timestamp>,
        ended_by -> Nullable<Text>,
        end_cause -> Nullable<Text>,
        sip_status -> Nullable<Integer>,
        q850 -> Nullable<Integer>,
        end_text -> Nullable<Text>,
        meta_status -> Nullable<Text>,
        meta_seconds -> Nullable<Integer>,
        meta_started_at -> Nullable<Timestamp>,
        meta_ended_at -> Nullable<Timestamp>,
        meta_errors -> Nullable<Text>,
        report -> Text,
        timeline -> Text,
        seen_at -> Nullable<Timestamp>,
    }
}

table! {
    call_cards (call_id) {
        call_id -> Text,
        portal_id -> Text,
        crm_call_id -> Text,
        user_id -> Text,
        user_inner -> Nullable<Text>,
        shown -> Bool,
        entity_type -> Nullable<Text>,
        entity_id -> Nullable<Text>,
        activity_id -> Nullable<Text>,
        created_at -> Timestamp,
        finished_at -> Nullable<Timestamp>,
    }
}

table! {
    call_permissions (phone_id, person) {
        phone_id -> Text,
        person -> Text,
        allowed -> Bool,
        can_ask -> Bool,
        good_until -> Timestamp,
    }
}

table! {
    alarms (id) {
        id -> Text,
        check_id -> Text,
        subject_kind -> Text,
        subject_id -> Text,
        subject_name -> Text,
        result -> Text,
        reason_en -> Text,
        reason_ru -> Text,
        advice_en -> Nullable<Text>,
        advice_ru -> Nullable<Text>,
        opened_at -> Timestamp,
        closed_at -> Nullable<Timestamp>,
    }
}

table! {
    alarm_notices (id) {
        id -> Text,
        alarm_id -> Text,
        event -> Text,
        portal_id -> Nullable<Text>,
        state -> Text,
        attempts -> Integer,
        not_before -> Timestamp,
        last_error -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

table! {
    invites (id) {
        id -> Text,
        token_hash -> Text,
        role -> Text,
        invited_by -> Nullable<Text>,
        expires_at -> Timestamp,
        used_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
    }
}

table! {
    sessions (id) {
        id -> Text,
        token_hash -> Text,
        administrator_id -> Text,
        source -> Text,
        user_agent -> Text,
        created_at -> Timestamp,
        seen_at -> Timestamp,
        expires_at -> Timestamp,
    }
}

table! {
    audit_log (id) {
        id -> Text,
        actor_kind -> Text,
        actor -> Text,
        action -> Text,
        object -> Text,
        object_id -> Text,
        object_name -> Text,
        state_before -> Text,
        state_after -> Text,
        created_at -> Timestamp,
    }
}

diesel::joinable!(alarm_notices -> alarms (alarm_id));

diesel::allow_tables_to_appear_in_same_query!(
    administrators,
    invites,
    sessions,
    audit_log,
    vault_checks,
    apps,
    wabas,
    phones,
    portal_apps,
    portals,
    line_bindings,
    contacts,
    contact_aliases,
    chats,
    messages,
    parked_statuses,
    jobs,
    expected_echoes,
    events,
    blobs,
    media_links,
    sms_requests,
    api_tokens,
    alarms,
    alarm_notices,
    templates,
    template_syncs,
    limit_uses,
    uploaded_media,
    held_messages,
    phone_calling,
    calls,
    call_cards,
    call_permissions,
);
