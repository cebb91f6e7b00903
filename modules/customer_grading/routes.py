# This file is licensed under the GPL-3.0-or-later, see the LICENSE file.

import base64
import hashlib

from genshi.template import MarkupTemplate

from trytond.i18n import gettext
from trytond.protocols.wrappers import (
    HTTPStatus, Response, allow_null_origin, set_max_request_size, with_pool,
    with_transaction)
from trytond.transaction import Transaction
from trytond.wsgi import app

from .exceptions import SurveyAnswerError
from .survey import NAME_SIZE, RATINGS, TEXT_SIZE

_MAX_SIZE = 256 * 1024

_STYLE = '''
body { margin: 0; background: #f4f5f7; color: #1c1e21;
    font: 1rem/1.5 system-ui, sans-serif }
main { max-width: 40rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.4rem }
fieldset { border: 0; border-radius: .5rem; background: #fff;
    margin: 0 0 1rem; padding: 1rem; min-width: 0 }
legend { float: left; width: 100%; padding: 0; margin: 0 0 .5rem;
    font-weight: 600 }
.choices { clear: both; display: flex; flex-wrap: wrap; gap: .5rem }
.choices label { display: flex; align-items: center; gap: .4rem;
    min-height: 2.75rem; padding: 0 .8rem; border: 1px solid #c4c9d1;
    border-radius: .5rem }
.scale { display: flex; justify-content: space-between; clear: both;
    color: #5a6069; font-size: .85rem; margin-top: .3rem }
input[type=radio] { width: 1.2rem; height: 1.2rem; margin: 0 }
input[type=text], textarea { box-sizing: border-box; width: 100%;
    clear: both; padding: .6rem; border: 1px solid #c4c9d1;
    border-radius: .5rem; font: inherit }
button { width: 100%; min-height: 3rem; border: 0; border-radius: .5rem;
    background: #1b5e9b; color: #fff; font: inherit; font-weight: 600 }
.error { clear: both; color: #a8071a }
.text { white-space: pre-line }
'''

_PAGE = MarkupTemplate('''<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml"
    xmlns:py="http://genshi.edgewall.org/" lang="${language}">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="robots" content="noindex, nofollow"/>
<meta name="referrer" content="no-referrer"/>
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p py:if="text" class="text">${text}</p>
<form py:if="questions" method="post" accept-charset="utf-8">
<p py:if="error" class="error" role="alert">${error}</p>
<fieldset py:for="question in questions">
<legend id="q${question['name']}">${question['question']}<py:if
    test="question['required']"> *</py:if></legend>
<p py:if="question['error']" class="error" role="alert"
    >${question['error']}</p>
<div py:if="question['choices']" class="choices">
<label py:for="value, label in question['choices']"><input type="radio"
    name="${question['name']}" value="${value}"
    required="${question['required'] and 'required' or None}"
    checked="${value == question['value'] and 'checked' or None}"/>
<span>${label}</span></label>
</div>
<div py:if="question['scale']" class="scale">
<span>${question['scale'][0]}</span><span>${question['scale'][1]}</span>
</div>
<textarea py:if="not question['choices']" rows="4"
    name="${question['name']}" maxlength="${text_size}"
    required="${question['required'] and 'required' or None}"
    aria-labelledby="q${question['name']}">${question['value']}</textarea>
</fieldset>
<fieldset>
<legend id="qname">${labels['name']}</legend>
<p py:if="name_error" class="error" role="alert">${name_error}</p>
<input type="text" name="name" maxlength="${name_size}" value="${name}"
    autocomplete="name" aria-labelledby="qname"/>
</fieldset>
<p py:if="labels['required']">${labels['required']}</p>
<button type="submit">${labels['send']}</button>
</form>
</main>
</body>
</html>''')


def _get_hash(text):
    digest = hashlib.sha256(text.encode('utf-8')).digest()
    return base64.b64encode(digest).decode('ascii')


# Nothing but the page itself: no scripts, no images, nothing from elsewhere
_HEADERS = {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': (
        "default-src 'none'; "
        f"style-src 'sha256-{_get_hash(_STYLE)}'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'X-Robots-Tag': 'noindex, nofollow',
    }


def _get_page(status, title, text, questions=(), **values):
    for name in ['error', 'name', 'name_error']:
        values.setdefault(name, '')
    values.setdefault('labels', {})
    html = _PAGE.generate(
        language=Transaction().language.replace('_', '-'),
        title=title, text=text, questions=questions, style=_STYLE,
        name_size=NAME_SIZE, text_size=TEXT_SIZE,
        **values).render('html', doctype='html5', encoding=None,
            strip_whitespace=False)
    return Response(
        html, status, headers=_HEADERS,
        content_type='text/html; charset=utf-8')


def _get_not_found():
    """Return the page of all links that open nothing, so that nobody learns
    whether there ever was a survey"""
    return _get_page(
        HTTPStatus.NOT_FOUND,
        gettext('customer_grading.msg_survey_page_unknown_title'),
        gettext('customer_grading.msg_survey_page_unknown'))


def _get_choices(type_):
    if type_ in RATINGS:
        minimum, maximum = RATINGS[type_]
        return [(str(i), str(i)) for i in range(minimum, maximum + 1)]
    elif type_ == 'boolean':
        return [
            ('yes', gettext('customer_grading.msg_survey_page_yes')),
            ('no', gettext('customer_grading.msg_survey_page_no')),
            ]


def _get_form(survey, status=HTTPStatus.OK, given=None, name='', errors=None):
    given, errors = given or {}, errors or {}
    questions = []
    for answer in survey.answers:
        scale = None
        if answer.type in RATINGS:
            scale = (
                gettext('customer_grading.msg_survey_page_worst'),
                gettext('customer_grading.msg_survey_page_best'))
        questions.append({
                'name': str(answer.sequence),
                'question': answer.question,
                'required': answer.required,
                'choices': _get_choices(answer.type),
                'scale': scale,
                'value': given.get(answer.sequence, ''),
                'error': errors.get(answer.sequence, ''),
                })
    error = errors.get(None, '')
    if errors and not error:
        error = gettext('customer_grading.msg_survey_page_error')
    return _get_page(
        status,
        gettext('customer_grading.msg_survey_page_title',
            company=survey.company.rec_name),
        survey.questionnaire.introduction or '', questions,
        error=error, name=name, name_error=errors.get('name', ''),
        labels={
            'name': gettext('customer_grading.msg_survey_page_name'),
            'required': (
                gettext('customer_grading.msg_survey_page_required')
                if any(q['required'] for q in questions) else ''),
            'send': gettext('customer_grading.msg_survey_page_send'),
            })


# Browsers send no origin from a page without referrer
@app.route(
    '/<database_name>/customer_grading/survey/<token>',
    methods={'GET', 'POST'})
@allow_null_origin
@set_max_request_size(_MAX_SIZE)
@with_pool
@with_transaction()
def survey(request, pool, token):
    Survey = pool.get('customer.survey')
    record = Survey.get_public(token)
    if not record:
        return _get_not_found()
    with Transaction().set_context(
            company=record.company.id, language=record.language):
        record = Survey(record.id)
        if request.method != 'POST':
            return _get_form(record)
        given = {
            a.sequence: request.form.get(str(a.sequence), '')
            for a in record.answers}
        name = request.form.get('name', '')
        try:
            if not Survey.answer_public(token, given, name=name):
                return _get_not_found()
        except SurveyAnswerError as error:
            return _get_form(
                record, HTTPStatus.BAD_REQUEST, given, name, error.errors)
        thanks = (
            record.questionnaire.thanks
            or gettext('customer_grading.msg_survey_page_thanks'))
        return _get_page(
            HTTPStatus.OK,
            gettext('customer_grading.msg_survey_page_thanks_title'), thanks)
