/** A benchmark as one HTML file that needs nothing else: its charts and its tables. */
import { escapeHtml } from "../output/escape-html.js";
import { htmlPage } from "../output/html-page.js";
import type { BarChart, Chart, LineChart, Report, Section } from "./report.js";

const STYLE = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border-bottom: 1px solid #ddd; padding: 0.2rem 0.8rem; text-align: left; }
.right { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
`;

/** Told apart by people who do not see colours alike. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

export function reportHtml({ title, sections }: Report): string {
  return htmlPage(title, STYLE, sections.map(sectionHtml).join("\n"));
}

function sectionHtml({ head, columns, rows, notes, charts = [] }: Section): string {
  const cell = (tag: "th" | "td", text: string, column: number) =>
    `<${tag}${columns[column]?.align === "right" ? ' class="right"' : ""}>${escapeHtml(text)}</${tag}>`;
  const line = (tag: "th" | "td", cells: readonly string[]) =>
    `<tr>${cells.map((text, i) => cell(tag, text, i)).join("")}</tr>`;
  const titles = columns.map((column) => column.title);
  const table = `<table>\n${[line("th", titles), ...rows.map((row) => line("td", row))].join("\n")}\n</table>`;
  const paragraphs = (lines: readonly string[]) => lines.map((text) => `<p>${escapeHtml(text)}</p>`);
  return [
    "<section>",
    ...paragraphs(head),
    ...charts.map(chartHtml),
    ...(rows.length > 0 ? [table] : []),
    ...paragraphs(notes),
    "</section>",
  ].join("\n");
}

function chartHtml(chart: Chart): string {
  const svg = chart.kind === "lines" ? lineChart(chart) : barChart(chart);
  return `<figure>\n${svg}\n<figcaption>${escapeHtml(chart.title)}</figcaption>\n</figure>`;
}

const [WIDTH, HEIGHT] = [720, 320];
const EDGE = { left: 64, right: 150, top: 12, bottom: 44 };

function lineChart({ x, y, series }: LineChart): string {
  const points = series.flatMap((one) => one.points);
  const [mostX, mostY] = [0, 1].map((i) => Math.max(...points.map((p) => p[i as 0 | 1]), 0)) as [
    number,
    number,
  ];
  const [ticksX, ticksY] = [ticks(mostX), ticks(mostY)];
  const [endX, endY] = [ticksX.at(-1)!, ticksY.at(-1)!];
  const atX = (v: number) => at(EDGE.left + (v / endX) * (WIDTH - EDGE.left - EDGE.right));
  const atY = (v: number) => at(HEIGHT - EDGE.bottom - (v / endY) * (HEIGHT - EDGE.top - EDGE.bottom));
  const [right, bottom] = [WIDTH - EDGE.right, HEIGHT - EDGE.bottom];
  const grid = [
    ...ticksX.map((v) => text(atX(v), bottom + 18, String(v), "middle")),
    ...ticksY.map(
      (v) =>
        `<line x1="${EDGE.left}" x2="${right}" y1="${atY(v)}" y2="${atY(v)}" stroke="#ddd"/>${text(EDGE.left - 8, Number(atY(v)) + 4, String(v), "end")}`,
    ),
    text((EDGE.left + right) / 2, HEIGHT - 8, x, "middle"),
    `<g transform="translate(14 ${(EDGE.top + bottom) / 2}) rotate(-90)">${text(0, 0, y, "middle")}</g>`,
  ];
  // Names of lines that end at one place stand below each other.
  const taken: number[] = [];
  const labelAt = (wanted: number): number => {
    let y = wanted;
    while (taken.some((other) => Math.abs(other - y) < LABEL)) y += 1;
    taken.push(y);
    return y;
  };
  const lines = series.map(({ name, points: own }, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const sorted = [...own].sort((a, b) => a[0] - b[0]);
    const path = sorted.map(([px, py]) => `${atX(px)},${atY(py)}`).join(" ");
    const dots = sorted.map(
      ([px, py]) =>
        `<circle cx="${atX(px)}" cy="${atY(py)}" r="4" fill="${colour}"><title>${escapeHtml(`${name}: ${px}, ${py.toPrecision(3)}`)}</title></circle>`,
    );
    const last = sorted.at(-1);
    const label = last
      ? text(Number(atX(last[0])) + 10, labelAt(Number(atY(last[1])) + 4), name, "start", colour)
      : "";
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>${dots.join("")}${label}`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">\n${[...grid, ...lines].join("\n")}\n</svg>`;
}

/** Height of a name. */
const LABEL = 14;
const ROW = 24;

function barChart({ bars }: BarChart): string {
  const left = 200;
  const room = WIDTH - left - 150;
  const most = Math.max(...bars.map(({ share }) => share), Number.MIN_VALUE);
  const rows = bars.map(({ name, share, label }, i) => {
    const width = at((share / most) * room);
    const y = i * ROW;
    return `${text(left - 8, y + 16, name, "end")}<rect x="${left}" y="${y + 4}" width="${width}" height="${ROW - 8}" fill="${COLOURS[0]}"/>${text(left + Number(width) + 8, y + 16, label, "start")}`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${bars.length * ROW}" role="img">\n${rows.join("\n")}\n</svg>`;
}

/** Round numbers from 0 to the first that is not below `most`, five or a few more. */
function ticks(most: number): number[] {
  const rough = (most > 0 ? most : 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough * (1 - 1e-9))!;
  const count = Math.max(1, Math.ceil(most / step - 1e-9));
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

const at = (v: number) => v.toFixed(1);

function text(
  x: number | string,
  y: number | string,
  content: string,
  anchor: "start" | "middle" | "end",
  fill = "#444",
): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${fill}">${escapeHtml(content)}</text>`;
}
