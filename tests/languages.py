"""A corpus in Russian, German, Chinese and Arabic: a shop's rules and a manual, with queries, judgments and near-duplicates."""

import json
from dataclasses import dataclass
from pathlib import Path

# Markdown by document. `return-old` is `return` with a word or two changed; `contract` is one long paragraph.
DOCUMENTS = {
    "ru/return": """# Возврат товара

Покупатель вправе вернуть товар надлежащего качества в течение четырнадцати дней с момента получения. Товар должен сохранить
товарный вид, а упаковка не должна быть повреждена. К возврату приложите копию чека.

## Порядок возврата

- Заполните заявление на сайте.
- Передайте посылку курьеру или отнесите её в пункт выдачи.
- Деньги поступят на карту в течение десяти дней.
""",
    "ru/delivery": """# Доставка

Курьер привозит заказ с девяти до двадцати одного часа. Время можно перенести один раз без доплаты. Крупную технику заносят в
квартиру за отдельную плату.
""",
    "ru/warranty": """# Гарантия

Гарантия на кофемашину действует два года. Она не распространяется на повреждения, возникшие из-за накипи или падения. Ремонт
выполняет только авторизованный сервисный центр.
""",
    "ru/descaling": """# Удаление накипи

Если загорелась оранжевая лампа, удалите накипь. Ещё раз промойте резервуар чистой водой после окончания.

1. Налейте раствор в резервуар.
2. Удерживайте кнопку пара пять секунд.
3. Подождите, пока раствор не вытечет.
""",
    "ru/contract": """# Договор поставки

Поставщик обязуется передать товар покупателю на условиях п. 3 настоящего договора. Покупатель обязуется его принять и оплатить. Цена
товара указана в руб. и включает НДС, расходы на упаковку, маркировку и т. д. Оплата производится в течение десяти банковских дней с даты выставления счёта. За просрочку оплаты покупатель уплачивает пеню в размере 0,1 процента за
каждый день. Приёмка товара по количеству проводится на складе по адресу: г. Казань, ул. Баумана, д. 5. Скрытые недостатки
предъявляются в течение тридцати дней. Споры рассматривает арбитражный суд по месту нахождения ответчика.
""",
    "de/return": """# Rückgabe der Ware

Sie können die Ware innerhalb von vierzehn Tagen nach Erhalt ohne Angabe von Gründen zurückgeben. Die Ware muss unbenutzt sein, und
die Verpackung darf nicht beschädigt sein. Legen Sie der Sendung eine Kopie der Rechnung bei.

## Ablauf

- Füllen Sie das Formular auf der Internetseite aus.
- Geben Sie das Paket in einer Filiale ab.
- Der Kaufpreis wird innerhalb von zehn Tagen erstattet.
""",
    "de/delivery": """# Lieferung

Der Bote bringt die Bestellung zwischen neun und einundzwanzig Uhr. Den Termin können Sie einmal kostenlos verschieben. Große Geräte
werden gegen Aufpreis in die Wohnung getragen.
""",
    "de/warranty": """# Garantie

Für die Kaffeemaschine gilt eine Garantie von zwei Jahren. Schäden durch Kalk oder durch einen Sturz sind davon ausgenommen.
Reparaturen führt nur eine Vertragswerkstatt aus.
""",
    "de/descaling": """# Entkalken

Leuchtet die orange Lampe, muss das Gerät entkalkt werden. Spülen Sie den Behälter danach mit klarem Wasser.

1. Füllen Sie das Mittel in den Behälter.
2. Halten Sie die Dampftaste fünf Sekunden gedrückt.
3. Warten Sie, bis das Mittel durchgelaufen ist.
""",
    "de/contract": """# Liefervertrag

Der Lieferant verpflichtet sich, die Ware gem. Nr. 3 dieses Vertrags zu übereignen, und der Käufer verpflichtet sich, sie abzunehmen
und zu bezahlen. Der Preis versteht sich inkl. Umsatzsteuer, Verpackung, Kennzeichnung usw. Die Zahlung ist binnen zehn Bankarbeitstagen
ab Rechnungsdatum fällig. Bei Verzug zahlt der Käufer Zinsen, d. h. fünf Prozentpunkte über dem Basiszinssatz, z. B. auf offene
Teilbeträge. Die Abnahme erfolgt am 3. Oktober im Lager in der Hafenstraße. Verdeckte Mängel sind binnen dreißig Tagen zu rügen. Über
Streitigkeiten entscheidet das Gericht am Sitz des Beklagten.
""",
    "zh/return": """# 退货规定

买家收到商品之日起十四天内，可以无理由退货。商品应当保持完好，包装不得损坏，
并且不影响二次销售。退货时请附上购物发票的复印件。

## 退货流程

- 在网站上填写退货申请表。
- 将包裹交给快递员，或者送到自提点。
- 货款将在十天内退回到您的银行卡。
""",
    "zh/delivery": """# 配送说明

快递员在上午九点到晚上九点之间送货。送货时间可以免费更改一次。大件家电送货上楼需要另外付费。
""",
    "zh/warranty": """# 保修条款

咖啡机的保修期为两年。因水垢或者摔落造成的损坏不在保修范围之内。维修只能由授权的服务中心进行。
""",
    "zh/descaling": """# 清除水垢

橙色指示灯亮起时，需要清除水垢。完成之后请用清水再次冲洗水箱。

1. 将除垢液倒入水箱。
2. 按住蒸汽按钮五秒钟。
3. 等待除垢液全部流出。
""",
    "zh/contract": """# 供货合同

供应商应当按照本合同第三条的规定，将货物的所有权转移给买方，买方应当接收货物并支付价款。货物的价格以人民币计算，包括增值税、包装费和标识费。买方应当自发票开具之日起十个银行工作日内付款。逾期付款的，买方应当按照每日千分之一的比例支付违约金。双方在供应商的仓库进行数量验收。“隐蔽的缺陷应当在三十天内提出。”因本合同引起的争议，由被告所在地的人民法院管辖。
""",
    "ar/return": """# إرجاع البضاعة

يحق للمشتري إرجاع البضاعة خلال أربعة عشر يوما من تاريخ الاستلام دون إبداء الأسباب. يجب أن تكون البضاعة سليمة وألا يكون الغلاف
تالفا. أرفق مع الطرد نسخة من فاتورة الشراء.

## خطوات الإرجاع

- املأ نموذج الإرجاع في الموقع.
- سلم الطرد إلى مندوب التوصيل.
- يعاد المبلغ إلى بطاقتك خلال عشرة أيام.
""",
    "ar/delivery": """# التوصيل

يصل المندوب بين الساعة التاسعة صباحا والتاسعة مساء. يمكنك تغيير الموعد مرة واحدة مجانا. هل الجهاز كبير؟ يحمل إلى الشقة مقابل أجر
إضافي.
""",
    "ar/warranty": """# الضمان

مدة ضمان آلة القهوة سنتان. لا يشمل الضمان الأضرار الناتجة عن الترسبات الكلسية أو السقوط. لا يجري الإصلاح إلا في مركز خدمة معتمد.
""",
    "ar/descaling": """# إزالة الكلس

إذا أضاء المصباح البرتقالي فأزل الكلس من الجهاز. اغسل الخزان بالماء النظيف بعد الانتهاء.

1. صب المحلول في الخزان.
2. اضغط على زر البخار خمس ثوان.
3. انتظر حتى يخرج المحلول كله.
""",
    "ar/contract": """# عقد توريد

يلتزم المورد بنقل ملكية البضاعة إلى المشتري، ويلتزم المشتري باستلامها ودفع ثمنها وفقا للبند الثالث من هذا العقد. يشمل السعر ضريبة
القيمة المضافة وتكاليف التغليف ووضع العلامات. يستحق الدفع خلال عشرة أيام عمل مصرفية من تاريخ الفاتورة. عند التأخر في الدفع يدفع
المشتري غرامة قدرها واحد في الألف عن كل يوم. يجري فحص الكميات في مستودع المورد. تقدم المطالبات بشأن العيوب الخفية خلال ثلاثين
يوما. تنظر المحكمة الواقعة في مقر المدعى عليه في النزاعات.
""",
}
_EDITS = {
    "ru": ("четырнадцати дней", "четырнадцати суток"),
    "de": ("vierzehn Tagen", "vierzehn Werktagen"),
    "zh": ("十四天内", "十四日内"),
    "ar": ("أربعة عشر يوما", "خمسة عشر يوما"),
}
for _code, (_was, _is) in _EDITS.items():
    assert _was in DOCUMENTS[f"{_code}/return"]
    DOCUMENTS[f"{_code}/return-old"] = DOCUMENTS[f"{_code}/return"].replace(_was, _is)
LANGUAGES = tuple(_EDITS)
SENTENCES = {  # of each contract, where a reader would say that they end
    "ru": [
        "Цена товара указана в руб. и включает НДС, расходы на упаковку, маркировку и т. д.",
        "Приёмка товара по количеству проводится на складе по адресу: г. Казань, ул. Баумана, д. 5.",
    ],
    "de": [
        "Der Preis versteht sich inkl. Umsatzsteuer, Verpackung, Kennzeichnung usw.",
        "Bei Verzug zahlt der Käufer Zinsen, d. h. fünf Prozentpunkte über dem Basiszinssatz, z. B. auf offene Teilbeträge.",
        "Die Abnahme erfolgt am 3. Oktober im Lager in der Hafenstraße.",
    ],
    "zh": ["买方应当自发票开具之日起十个银行工作日内付款。", "“隐蔽的缺陷应当在三十天内提出。”"],
    "ar": ["يستحق الدفع خلال عشرة أيام عمل مصرفية من تاريخ الفاتورة.", "يجري فحص الكميات في مستودع المورد."],
}


@dataclass(frozen=True)
class Asked:
    """A query and the document that answers it."""

    query_id: str
    text: str
    document_id: str
    split: str

    @property
    def language(self) -> str:
        """The first part of its document's id."""
        return self.document_id.split("/")[0]


QUERIES = tuple(
    Asked(f"{document.split('/')[0]}{number}", text, document, "test" if number % 2 else "train")
    for number, (document, text) in enumerate([
        # None of the words that decide stands in its document in this form.
        ("ru/delivery", "доставка крупной техники в квартиры"),
        ("ru/warranty", "гарантии кофемашин от накипи"),
        ("ru/descaling", "еще раз промыть резервуары"),
        ("ru/contract", "пени за просрочки оплат"),
        ("de/delivery", "großes Gerät in Wohnungen tragen"),
        ("de/warranty", "Garantien bei Schaden durch Stürze"),
        ("de/descaling", "Gerät entkalken orange Lampen"),
        ("de/contract", "verdeckter Mangel rügen"),
        ("zh/delivery", "大件家电送货上楼"),
        ("zh/warranty", "咖啡机保修多久"),
        ("zh/descaling", "橙色指示灯亮了"),
        ("zh/contract", "逾期付款违约金"),
        ("ar/delivery", "تَغْيِيرُ المَوْعِدِ"),
        ("ar/warranty", "ضمـــان آلات القهوة"),
        ("ar/descaling", "ازالة الكلس من الاجهزة"),
        ("ar/contract", "غرامة التأخر في الدفع"),
    ])
)  # fmt: skip


def write(root: Path) -> None:
    """The documents below `root`/documents, one folder a language; queries and judgments below `root`/judged."""
    for name, text in DOCUMENTS.items():
        path = root / "documents" / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    judged = root / "judged"
    judged.mkdir()
    for language in LANGUAGES:
        own = [one for one in QUERIES if one.language == language]
        lines = [json.dumps({"_id": one.query_id, "text": one.text, "split": one.split}, ensure_ascii=False) for one in own]
        (judged / f"{language}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        rows = ["query-id\tcorpus-id\tscore", *(f"{one.query_id}\t{one.document_id}.md\t1" for one in own)]
        (judged / f"{language}.tsv").write_text("\n".join(rows), encoding="utf-8")
