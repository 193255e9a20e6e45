// Talking to the server: a question and its answer, and a run with what it tells.

// Posts `body`; the error is the server's sentence, or that there is no server.
export async function ask(address, body) {
  let response;
  try {
    response = await fetch(address, { method: "POST", body });
  } catch {
    throw new Error("The playground does not answer: is it still running in its terminal?");
  }
  const text = await response.text();
  let answer;
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Error(text || `The playground answered with status ${response.status}.`);
  }
  if (!response.ok) throw new Error(answer.sentence);
  return answer;
}

const KINDS = ["queued", "started", "step", "sample", "done", "stopped", "failed"];
const LAST = ["done", "stopped", "failed"];

export class Run {
  // Follows run number `id` from its beginning; `heard` gets each event's kind and content.
  constructor(id, heard) {
    this.id = id;
    this.source = new EventSource(`api/runs/${id}/events`);
    for (const kind of KINDS) {
      this.source.addEventListener(kind, ({ data }) => {
        if (LAST.includes(kind)) this.source.close();
        heard(kind, JSON.parse(data));
      });
    }
    this.source.onopen = () => heard("open", {});
    this.source.onerror = () => {
      // The browser tries again by itself unless the server said that there is no such run.
      const isGone = this.source.readyState === EventSource.CLOSED;
      heard(isGone ? "gone" : "silent", {});
    };
  }

  // Puts a wish into the server's queue.
  static async start(wish, heard) {
    const { id } = await ask("api/runs", JSON.stringify(wish));
    return new Run(id, heard);
  }

  cancel() {
    return ask(`api/runs/${this.id}/cancel`);
  }
}
