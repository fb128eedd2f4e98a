// One whole case through the console: once by mouse, once by keyboard alone.
// Every page on the way is held against axe-core.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { demo } from "./demo.mjs";
import { Reader, browser, hoursAgo, pictures, verdict } from "./reader.mjs";

let running, chrome;
before(async () => { running = await demo(); chrome = await browser(); });
after(async () => { await chrome?.close(); await running?.stop(); console.log(`screenshots are in ${pictures}`); });

const sheet = {
  "What happened": "Somebody outside the company read customer records.",
  "When it happened": "between 17 and 20 November 2026",
  "Likely consequences": "Somebody could pretend to be us when they call or write to you.",
  "What we have done": "We have taken the server out of use and closed the gap.",
  "What you can do": "Be wary of anybody who contacts you about your account.",
};

/** The link to the preview of somebody who gets the email. */
const withEmail = (reader) => reader.page.locator("tr", { hasText: "Email to people in en-GB" }).getByRole("link", { name: /^Preview person/ }).first();

/** A second version of the email is compared, checked over the whole list and previewed as a real person. */
async function reviewed(analyst, legal, number) {
  const text = `/cases/${number}/wording/people/email/en-GB`;
  await analyst.go(text);
  const body = await analyst.page.getByLabel("Text", { exact: true }).inputValue();
  await analyst.fill("Text", body.replace("We are writing because", "We are sorry. We write because") + "\n\nPlease keep this notice.");
  await analyst.press("Save as a new version");
  await legal.go(text);
  await legal.follow("Compare any two versions");
  await legal.sees("Version 1 and version 2, side by side");
  await legal.page.getByLabel("Show", { exact: true }).selectOption("inline");
  await legal.press("Compare");
  await legal.look("_cases_case_wording_compare_inline");

  await legal.go(`/cases/${number}/wording`);
  await legal.follow("Check the texts over the whole list");
  await legal.waitFor("Who gets which form");
  await legal.look("_cases_case_wording_check_done");
  await withEmail(legal).click();
  await legal.look();
  await legal.press("Show the notice");
  await legal.sees("Say why you look");
  await legal.look("_cases_case_preview_wrong");
  await legal.fill("Why you look", "Sample before approval");
  await legal.press("Show the notice");
  await legal.sees("This would leave as it stands here");
  await legal.page.getByText("Show the request, byte for byte").click();
  await legal.look("_cases_case_preview_shown");
  const [file] = await Promise.all([legal.page.waitForEvent("download"), legal.page.getByRole("button", { name: "Download the bytes" }).click()]);
  const sum = createHash("sha256").update(await readFile(await file.path())).digest("hex");
  await legal.sees(sum);
  await legal.page.getByLabel("Person number").fill("4294967295");
  await legal.press("Show the notice");
  await legal.sees("Nobody on the newest sealed list has the number");
}

test("a whole case by mouse", async () => {
  const analyst = await Reader.signIn(chrome, running, "tidewater-analyst");
  await analyst.go("/alerts");
  await analyst.page.locator("tbody a[href^='/alerts/']").first().click();
  await analyst.look();
  await analyst.follow("Declare a case");
  await analyst.press("Check what will start");
  await analyst.sees("There is a problem");
  assert.match(await analyst.page.title(), /^Error: /);
  await analyst.fill("Title", "Altered program on a customer server");
  await analyst.fill("Date and time", hoursAgo(2));
  await analyst.page.getByLabel("High", { exact: true }).check();
  await analyst.page.getByLabel("password", { exact: true }).check();
  await analyst.page.getByLabel("email address", { exact: true }).check();
  await analyst.press("Check what will start");
  await analyst.sees("Which clocks will start");
  await analyst.press("Declare the case and start the clocks");
  const number = analyst.path.split("/")[2];
  await analyst.waitFor("Art. 33");
  await analyst.look();

  await analyst.follow("Find who is affected");
  for (const box of await analyst.page.locator("input[name=dataset]").all()) await box.check();
  await analyst.fill("From", hoursAgo(96));
  await analyst.fill("Until", hoursAgo(1));
  await analyst.press("Preview the counts");
  await analyst.sees("would be on the list");
  await analyst.press("State it and seal the list");
  await analyst.waitFor("The sealed list");
  await analyst.look("_cases_case_scope_sealed");

  await analyst.go(`/cases/${number}/facts`);
  for (const [label, value] of Object.entries(sheet)) await analyst.fill(label, value);
  await analyst.press("Save the facts sheet (en)");
  for (const channel of ["email", "sms"]) {
    await analyst.go(`/cases/${number}/wording/people/${channel}/en-GB`);
    await analyst.press("Preview");
    await analyst.look(`_cases_case_wording_${channel}_preview`);
    await analyst.press("Save as a new version");
  }
  await analyst.go(`/cases/${number}/wording`);

  const dpo = await Reader.signIn(chrome, running, "tidewater-dpo");
  await dpo.go(`/cases/${number}/assess`);
  await dpo.page.getByLabel("There is a high risk").check();
  await dpo.fill("Reason", "Passwords and contact details in unknown hands.");
  await dpo.press("Record the assessment");

  const legal = await Reader.signIn(chrome, running, "tidewater-legal");
  await legal.go(`/cases/${number}/wording/people/email/en-GB`);
  await legal.fill("Remark", "Reads well.");
  await legal.press("Record the remark");
  await reviewed(analyst, legal, number);
  await legal.go(`/cases/${number}/approve`);
  await legal.tick("I have read every text above");
  await legal.press("Approve and sign");
  await legal.go(`/cases/${number}/approve`);
  await legal.look("_cases_case_approve_after");

  await dpo.go(`/cases/${number}/dispatch`);
  const people = (await dpo.page.getByText(/writes to [\d,]+ people/).textContent()).match(/[\d,]+/)[0].replaceAll(",", "");
  await dpo.fill("Type the number of the case", number);
  await dpo.fill("Type the number of people", String(Number(people) + 1));
  await dpo.press(/^Write to/);
  await dpo.sees("There is a problem");
  await dpo.look("_cases_case_dispatch_wrong");
  await dpo.fill("Type the number of people", people);
  await dpo.press(/^Write to/);
  await dpo.waitFor("people told", 90);
  await dpo.look("_cases_case_dispatch_running");
  await dpo.go(`/cases/${number}/messages`);
  await dpo.page.locator("tbody a").first().click();
  await dpo.look("_cases_case_messages_person");
  await dpo.go(`/cases/${number}/report`);
  await dpo.go(`/cases/${number}/doubts`);
  await dpo.go(`/cases/${number}/timeline`);
  await dpo.go("/deadlines");
  await dpo.go(`/cases/${number}`);
  await dpo.fill("Show the case as it was known at", hoursAgo(-1 / 60));
  await dpo.press("Show");
  await dpo.go("/cases");

  // A changed fact names the texts it touches, and the approval page what changed since the yes.
  await analyst.go(`/cases/${number}/facts`);
  await analyst.fill("What you can do", "Be wary of anybody who contacts you about your account. Call us if in doubt.");
  await analyst.press("Save the facts sheet (en)");
  await analyst.sees("Changed with it: Email to people in en-GB, SMS to people in en-GB");
  await legal.go(`/cases/${number}/approve`);
  await legal.sees("Since the last yes");
  await legal.look("_cases_case_approve_since");

  await dpo.go(`/cases/${number}`);
  await dpo.page.locator(".duty a").first().click();
  await dpo.look("_cases_case_duty");
  await dpo.go(`/cases/${number}/close`);
  await dpo.go("/cases/2020-999");
  const admin = await Reader.signIn(chrome, running, "tidewater-admin");
  await admin.go("/dead-letters");

  // Small and dark.
  const small = await Reader.signIn(chrome, running, "tidewater-dpo", { viewport: { width: 320, height: 700 }, colorScheme: "dark" });
  const compare = `/cases/${number}/wording/people/email/en-GB/compare`;
  for (const page of [`${compare}?from=1&to=2`, `${compare}?from=1&to=2&view=inline`, `/cases/${number}/wording/check`, `/cases/${number}/preview`, "/cases", `/cases/${number}`, `/cases/${number}/dispatch`, `/cases/${number}/approve`, "/deadlines", "/alerts?state="]) {
    await small.go(page);
    const wide = await small.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `${page} scrolls sideways by ${wide} px at 320 px`);
    await small.look(`_320${page.replace(number, "case").replaceAll(/\W/g, "_")}`);
  }
  verdict();
});

test("a whole case by keyboard alone", async () => {
  const analyst = await Reader.signIn(chrome, running, "tidewater-analyst");
  await analyst.go("/cases");
  await analyst.page.keyboard.press("Tab");
  await analyst.page.keyboard.press("Enter");
  assert.equal(await analyst.page.evaluate(() => document.activeElement.id), "main", "the skip link does not lead to the content");
  await analyst.keyPress("link", "Declare a case");
  await analyst.type("Title", "Stolen paper file");
  await analyst.type("Date and time", hoursAgo(3));
  await analyst.tabTo(analyst.page.getByLabel("Low", { exact: true }));
  await analyst.page.keyboard.press("Space");
  await analyst.page.keyboard.press("ArrowDown");
  await analyst.page.keyboard.press("ArrowDown");
  await analyst.keyTick("postal address");
  await analyst.keyPress("button", "Check what will start");
  await analyst.keyPress("button", "Declare the case and start the clocks");
  const number = analyst.path.split("/")[2];

  await analyst.go(`/cases/${number}/scope`);
  await analyst.tabTo(analyst.page.locator("input[name=dataset]"));
  await analyst.page.keyboard.press("Space");
  await analyst.type("From", hoursAgo(96));
  await analyst.type("Until", hoursAgo(1));
  await analyst.keyPress("button", "State it and seal the list");
  await analyst.waitFor("The sealed list");
  await analyst.go(`/cases/${number}/facts`);
  for (const [label, value] of Object.entries(sheet)) await analyst.type(label, value);
  await analyst.keyPress("button", "Save the facts sheet (en)");
  for (const channel of ["email", "sms"]) {
    await analyst.go(`/cases/${number}/wording/people/${channel}/en-GB`);
    await analyst.keyPress("button", "Save as a new version");
  }

  const legal = await Reader.signIn(chrome, running, "tidewater-legal");
  await legal.go(`/cases/${number}/wording`);
  await legal.keyPress("link", "Check the texts over the whole list");
  await legal.waitFor("Who gets which form");
  await legal.tabTo(withEmail(legal));
  await Promise.all([legal.page.waitForNavigation(), legal.page.keyboard.press("Enter")]);
  await legal.type("Why you look", "Sample before approval");
  await legal.keyPress("button", "Show the notice");
  await legal.sees("This would leave as it stands here");
  await legal.go(`/cases/${number}/wording/people/email/en-GB/compare`);
  await legal.sees("letter by letter");
  await legal.keyPress("button", "Compare");
  await legal.go(`/cases/${number}/approve`);
  await legal.keyTick("I have read every text above");
  await legal.keyPress("button", "Approve and sign");

  const dpo = await Reader.signIn(chrome, running, "tidewater-dpo");
  await dpo.go(`/cases/${number}/dispatch`);
  const people = (await dpo.page.getByText(/writes to [\d,]+ people/).textContent()).match(/[\d,]+/)[0];
  await dpo.type("Type the number of the case", number);
  await dpo.type("Type the number of people", people);
  await dpo.keyPress("button", /^Write to/);
  await dpo.keyPress("button", "Stop the sending");
  await dpo.sees("Stopped");
  await dpo.keyPress("link", number);
  verdict();
});
