// The pages for people: uploads with progress, jobs as they proceed, comparing, copying. Reading works without it.

const AT_ONCE = 3;

follow(document);
document.addEventListener("htmx:afterSettle", (event) => follow(event.target));
const uploader = document.getElementById("uploader");
if (uploader) receiveFiles(uploader);
const compare = document.querySelector(".compare");
if (compare) compareByHand(compare);

function follow(root) {
  for (const place of root.querySelectorAll("[data-live]")) {
    followJob(place, place.dataset.live).then(() => location.reload()); // its buttons are others now
  }
  for (const button of root.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.onclick = async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    };
  }
}

/** Show a job in `place` as it proceeds; resolves when it has ended. */
function followJob(place, address) {
  return new Promise((resolve) => {
    const events = new EventSource(address);
    events.addEventListener("news", (event) => { place.innerHTML = event.data; });
    events.addEventListener("end", (event) => {
      events.close();
      place.innerHTML = event.data;
      resolve(place);
    });
  });
}

function receiveFiles(form) {
  const drop = document.getElementById("drop");
  const chooser = document.getElementById("files");
  const waiting = [];
  let running = 0;

  const next = async () => {
    if (running >= AT_ONCE || !waiting.length) return;
    running += 1;
    const upload = waiting.shift();
    await send(form, upload.file, upload.row);
    running -= 1;
    next();
  };
  const take = (files) => {
    for (const file of files) {
      waiting.push({ file, row: addRow(file) });
      next();
    }
    say(`${files.length} ${files.length === 1 ? "photograph" : "photographs"} chosen`);
  };
  chooser.addEventListener("change", () => { take(chooser.files); chooser.value = ""; });
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files); });
  form.addEventListener("submit", (event) => event.preventDefault());
}

function addRow(file) {
  const row = document.getElementById("upload-row").content.firstElementChild.cloneNode(true);
  row.querySelector(".name").textContent = file.name;
  row.querySelector("progress").setAttribute("aria-label", `Upload of ${file.name}`);
  document.getElementById("uploads").append(row);
  return row;
}

/** Order an upload, put the file there, and follow its job. */
async function send(form, file, row) {
  const progress = row.querySelector("progress");
  try {
    if (file.size > Number(form.dataset.most)) throw new Error("The file is larger than the limit.");
    state(row, "uploads", "warn");
    const order = await ordered(form, file);
    const job = await put(order.path, file, (part) => { progress.value = 100 * part; });
    progress.hidden = true;
    state(row, "renders", "warn");
    const place = await followJob(row.querySelector(".live"), `${form.dataset.jobs}${job.id}/events`);
    const failed = place.querySelector(".steps .failed");
    state(row, failed ? "failed" : "done", failed ? "bad" : "good");
    say(`${file.name}: ${failed ? "failed" : "done"}`);
  } catch (error) {
    progress.hidden = true;
    state(row, "failed", "bad");
    const reason = document.createElement("p");
    reason.textContent = error.message;
    row.querySelector(".live").replaceChildren(reason);
    say(`${file.name}: ${error.message}`);
  }
}

async function ordered(form, file) {
  const body = new URLSearchParams(new FormData(form));
  body.set("name", file.name);
  const answer = await fetch(form.dataset.order, { method: "POST", body });
  if (!answer.ok) throw new Error(await reasonOf(answer));
  return answer.json();
}

/** The sentence of an error page. */
async function reasonOf(answer) {
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.querySelector("main .lead")?.textContent ?? `The service answered ${answer.status}.`;
}

function put(path, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", path);
    request.responseType = "json";
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status === 201) resolve(request.response);
      else reject(new Error(request.response?.detail ?? `The service answered ${request.status}.`));
    };
    request.onerror = () => reject(new Error("The connection was lost; drop the file again."));
    request.send(file);
  });
}

function state(row, word, tone) {
  const badge = row.querySelector(".state");
  badge.textContent = word;
  badge.className = `badge state ${tone}`;
}

function say(text) { document.getElementById("drop-result").textContent = text; }

/** Lay the size over the original, with a line between them that moves, and a zoom. */
function compareByHand(box) {
  const [size, place, zoom] = ["size", "place", "zoom"].map((name) => document.getElementById(`compare-${name}`));
  const after = box.querySelector(".after");
  box.classList.add("over");
  document.querySelector(".compare-tools").hidden = false;
  const show = () => {
    box.style.setProperty("--place", `${place.value}%`);
    box.style.setProperty("--zoom", zoom.value);
  };
  const point = (event) => {
    const { left, top, width, height } = box.getBoundingClientRect();
    const [x, y] = [100 * (event.clientX - left) / width, 100 * (event.clientY - top) / height];
    place.value = x;
    box.style.setProperty("--at", `${x}% ${y}%`);
    show();
  };
  for (const input of [place, zoom]) input.addEventListener("input", show);
  box.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" || event.buttons) point(event); });
  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
    if (!step) return;
    event.preventDefault();
    place.value = Number(place.value) + step;
    show();
  });
  size.addEventListener("change", () => {
    after.querySelector("img").src = size.value;
    after.querySelector("figcaption").textContent = `Size ${size.selectedOptions[0].textContent}`;
  });
  show();
}
