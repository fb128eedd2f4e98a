// A folder was stolen: its names are entered by hand, the list grows, one
// person is looked for, revealed and erased. Every page is held against axe-core.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { demo } from "./demo.mjs";
import { Reader, browser, hoursAgo, pictures, verdict } from "./reader.mjs";

let running, chrome;
before(async () => { running = await demo(); chrome = await browser(); });
after(async () => { await chrome?.close(); await running?.stop(); console.log(`screenshots are in ${pictures}`); });

const stolen = `given_name,family_name,address1,postcode,city,country
Åsa,Quillfeather,1 Mill Lane,AB1 2CD,Exampleton,GB
Bo,Quillfeather,,,,
`;

test("people of a stolen folder", async () => {
  const analyst = await Reader.signIn(chrome, running, "mindloom-analyst");
  await analyst.go("/cases/declare");
  await analyst.fill("Title", "Folder stolen from the cabinet");
  await analyst.fill("Date and time", hoursAgo(3));
  await analyst.page.getByLabel("Medium", { exact: true }).check();
  await analyst.press("Check what will start");
  await analyst.press("Declare the case and start the clocks");
  const number = analyst.path.split("/")[2];
  const scope = `/cases/${number}/scope`;

  await analyst.go(`${scope}/difference`);
  await analyst.sees("No list has been sealed");
  await analyst.go(scope);
  await analyst.follow("Enter a list by hand");
  await analyst.press("Check the list");
  await analyst.sees("There is a problem");
  await analyst.look("_cases_case_scope_list_wrong");
  await analyst.fill("Dataset", "cabinet.stolen-folder");
  await analyst.page.getByText("What a new dataset holds").click();
  await analyst.page.getByLabel("name", { exact: true }).check();
  await analyst.page.getByLabel("The list").fill(stolen);
  await analyst.press("Check the list");
  await analyst.sees("2 new people");
  await analyst.look("_cases_case_scope_list_checked");
  await analyst.press("Take the list in");
  await analyst.sees("Taken in: 2 new people");

  const state = async (...datasets) => {
    for (const d of datasets) await analyst.page.locator(`input[name=dataset][value="${d}"]`).check();
    await analyst.fill("From", hoursAgo(96));
    await analyst.fill("Until", hoursAgo(1));
    await analyst.press("State it and seal the list");
  };
  await state("cabinet.stolen-folder");
  await analyst.waitFor("2 people on list 1");
  await analyst.go(`${scope}/difference`);
  await analyst.sees("There is one sealed list");
  await analyst.go(scope);
  await state("cabinet.files");
  await analyst.waitFor("on list 2");
  await analyst.follow("What changed between two lists");
  await analyst.sees("Owed a first notice");
  await analyst.look("_cases_case_scope_difference_two");

  const dpo = await Reader.signIn(chrome, running, "mindloom-dpo");
  await dpo.go(scope);
  await dpo.follow("Privileged findings");
  await dpo.sees("Kept longer than promised");
  await dpo.follow("People");
  await dpo.press("Find");
  await dpo.sees("There is a problem");
  await dpo.fill("Email address, phone number or full name", "Nobody Atall");
  await dpo.press("Find");
  await dpo.sees("Nobody found");
  await dpo.look("_people_nobody");
  await dpo.fill("Email address, phone number or full name", "åsa quillfeather");
  await dpo.fill("Case (optional)", number);
  await dpo.press("Find");
  await dpo.sees("1 person, masked");
  await dpo.look("_people_found");
  assert.ok(!(await dpo.page.locator("table").textContent()).includes("Quillfeather"), "the search shows a name");
  await dpo.page.locator("tbody a").first().click();
  await dpo.look("_people_person");
  await dpo.press("Show the person");
  await dpo.sees("Say why you need to see who this is");
  await dpo.fill("Reason", "They called us about the folder.");
  await dpo.press("Show the person");
  await dpo.sees("Åsa Quillfeather");
  await dpo.look("_people_person_revealed");
  const person = dpo.path.split("/")[2];
  await dpo.page.getByText("Erase this person at their request").click();
  await dpo.look("_people_person_erase");
  await dpo.fill("Reason of the erasure", "Request 17");
  await dpo.fill(`Type the number of the person, ${person}`, person);
  await dpo.press("Erase for good");
  await dpo.sees("erased at their request");
  await dpo.look("_people_person_erased");
  await dpo.go("/people/audit");
  await dpo.sees("They called us about the folder.");

  const small = await Reader.signIn(chrome, running, "mindloom-dpo", { viewport: { width: 320, height: 700 }, colorScheme: "dark" });
  for (const page of ["/people", "/people/1", "/people/audit", `${scope}/list`, `${scope}/difference`, `/cases/${number}/privileged`]) {
    await small.go(page);
    const wide = await small.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `${page} scrolls sideways by ${wide} px at 320 px`);
    await small.look(`_320${page.replace(number, "case").replaceAll(/\W/g, "_")}`);
  }
  verdict();
});
