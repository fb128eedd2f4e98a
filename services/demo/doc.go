// Package demo prepares an installation of the five sample organisations with
// synthetic people and look-alike providers, and can play one whole case of it
// through the public HTTP API. Nothing in it can reach a real person: the
// providers are the sandbox of the same process, addresses use reserved
// domains and numbers fictional ranges.
//
// alert_wazuh.json comes from DataDog/integrations-core
// (wazuh/assets/logs/wazuh_tests.yaml), BSD-3-Clause, Copyright (c) 2016, Datadog, Inc.
package demo
